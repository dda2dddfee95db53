"""Renders an invoice as an HTML page with Jinja2; everything from the event is escaped."""

from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
pages.filters["money"] = lambda amount: f"{amount:,.2f}"


def handler(event, context):
    items = []
    for item in event["items"]:
        price, count = Decimal(str(item["price"])), int(item["count"])
        items.append({**item, "price": price, "count": count, "total": price * count})
    net = sum((item["total"] for item in items), Decimal(0))
    tax = (net * Decimal(str(event.get("tax_percent", 0))) / 100).quantize(Decimal("0.01"))
    html = pages.get_template("invoice.html").render(
        number=event["number"],
        customer=event["customer"],
        currency=event.get("currency", "EUR"),
        items=items,
        net=net,
        tax=tax,
        gross=net + tax,
    )
    print(f"invoice {event['number']}: {len(items)} items, {len(html)} characters")
    return {"contentType": "text/html; charset=utf-8", "total": float(net + tax), "html": html}
