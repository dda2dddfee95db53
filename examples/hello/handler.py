"""Greets whoever the event names; needs no package."""


def handler(event, context):
    name = event.get("name", "world")
    print(f"request {context.aws_request_id}: greeting {name}")
    return {"message": f"Hello, {name}!", "function": context.function_name}
