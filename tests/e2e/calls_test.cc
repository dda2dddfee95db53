/// What a call gets and what it gives back.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

class Calls : public Suite<Bare> {};

constexpr const char* kEcho = "def handler(event):\n    return event\n";

TEST_F(Calls, EventsOfEveryTypeComeBack) {
  ASSERT_DEPLOYED(api().deploy("echo", kEcho));
  for (const char* event :
       {"null", "true", "false", "0", "-5", "3.25", "1e300", "\"\"", "\"text\"",
        "\"\\u00e9 \\ud83d\\ude00 \\u0000 \\\\ \\\"\"", "[]", "[1,[2,[3,{}]]]", "{}",
        "{\"a\":{\"b\":[null,false]},\"\":0}", " {\n\t\"spaces\" : [ 1 , 2 ]\r\n} "}) {
    const Reply reply = api().invoke("echo", event);
    ASSERT_TRUE(succeeded(reply)) << event;
    EXPECT_EQ(reply.json(), boost::json::parse(event)) << reply.body;
    EXPECT_EQ(reply.header("content-type"), "application/json");
  }
}

TEST_F(Calls, NumbersKeepEveryDigit) {
  ASSERT_DEPLOYED(api().deploy("echo", kEcho));
  const std::string huge = "[1180591620717411303424,-9223372036854775809,0.1]";
  EXPECT_EQ(api().invoke("echo", huge).body, huge);
}

TEST_F(Calls, AnEmptyBodyIsAnEmptyObject) {
  ASSERT_DEPLOYED(api().deploy("echo", kEcho));
  EXPECT_EQ(api().invoke("echo", "").body, "{}");
}

TEST_F(Calls, LargeEventsAndResults) {
  ASSERT_DEPLOYED(api().deploy("length", "def handler(e):\n    return [len(e), e]\n"));
  const std::string text(2U << 20U, 'x');
  const Reply reply = api().invoke("length", '"' + text + '"');
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, "[" + std::to_string(text.size()) + ",\"" + text + "\"]");
}

TEST_F(Calls, HandlersTakeTheContextOrNot) {
  for (const char* source :
       {"def handler(event):\n    return 'one'\n",
        "def handler(event, context):\n    return context.function_name\n",
        "def handler(event, context=None):\n    return context.function_name\n",
        "def handler(*all):\n    return all[1].function_name\n",
        "class H:\n    def __call__(self, event, context):\n"
        "        return context.function_name\nhandler = H()\n",
        "handler = lambda event, context: context.function_name\n"}) {
    const Reply reply = call(source);
    ASSERT_TRUE(succeeded(reply)) << source;
    EXPECT_TRUE(reply.body == "\"t\"" || reply.body == "\"one\"") << source << reply.body;
  }
}

TEST_F(Calls, TheContextTellsAboutTheCall) {
  const Reply reply = call(
      "import time\n"
      "def handler(event, context):\n"
      "    first = context.get_remaining_time_in_millis()\n"
      "    time.sleep(0.05)\n"
      "    return [context.aws_request_id, context.function_name, context.memory_limit_in_mb,\n"
      "            first, first - context.get_remaining_time_in_millis()]\n",
      "{}", R"({"memory":"128M","timeout":"7s"})");
  ASSERT_TRUE(succeeded(reply));
  const boost::json::value facts = reply.json();
  EXPECT_EQ(facts.at(0).as_string(), reply.id());
  EXPECT_EQ(facts.at(1).as_string(), "t");
  EXPECT_EQ(facts.at(2).as_int64(), 128);
  EXPECT_GT(facts.at(3).as_int64(), 4000);
  EXPECT_LE(facts.at(3).as_int64(), 7000);
  EXPECT_GE(facts.at(4).as_int64(), 49);
  EXPECT_LT(facts.at(4).as_int64(), 2000);
}

TEST_F(Calls, TheEnvironmentIsTheFunctionsOwn) {
  const Reply reply = call("import os\ndef handler(event):\n    return dict(os.environ)\n", "{}",
                           R"({"env":{"MODE":"fast","UNICODE":"\u00e9","EMPTY":"","A":"b=c"}})");
  ASSERT_TRUE(succeeded(reply));
  const auto& variables = reply.json().as_object();
  EXPECT_EQ(variables.at("MODE").as_string(), "fast");
  EXPECT_EQ(variables.at("UNICODE").as_string(), "é");
  EXPECT_EQ(variables.at("EMPTY").as_string(), "");
  EXPECT_EQ(variables.at("A").as_string(), "b=c");
  EXPECT_FALSE(variables.contains("HOST_SECRET"));
}

TEST_F(Calls, TheEnvironmentIsThereAtImport) {
  const Reply reply =
      call("import os\nMODE = os.environ['MODE']\ndef handler(e):\n    return MODE\n", "{}",
           R"({"env":{"MODE":"early"}})");
  EXPECT_EQ(reply.body, "\"early\"");
}

TEST_F(Calls, OutputIsKeptInOrder) {
  const Reply reply = call(
      "import os, subprocess, sys\n"
      "print('import')\n"
      "def handler(event):\n"
      "    print('out 1')\n"
      "    print('err 1', file=sys.stderr)\n"
      "    print('out 2')\n"
      "    sys.stdout.flush()\n"
      "    os.write(1, b'raw out\\n')\n"
      "    os.write(2, b'raw err\\n')\n"
      "    print('no line feed', end='')\n");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, "null");
  const Reply record = api().record_of(reply);
  // What the import prints belongs to the call that imports.
  const std::string import = path() == Path::kFunction ? "" : "import\n";
  EXPECT_EQ(record.text("logs"), import + "out 1\nerr 1\nout 2\nraw out\nraw err\nno line feed");
  EXPECT_FALSE(record.json().at("logs_truncated").as_bool());
  EXPECT_EQ(api().get("/v1/calls/" + reply.id() + "/logs").body, record.text("logs"));
}

TEST_F(Calls, OutputMayBeAnyBytes) {
  const Reply reply = call("import os\ndef handler(e):\n    os.write(1, b'a\\x00\\xff\\x1b[2J')\n");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(api().record_of(reply).text("logs"), std::string("a\0\xef\xbf\xbd\x1b[2J", 9));
}

TEST_F(Calls, OutputOfAFailedCallIsKept) {
  const Reply reply = call("def handler(e):\n    print('before')\n    raise ValueError('x')\n");
  EXPECT_TRUE(failed(reply, 502, "app_error"));
  EXPECT_EQ(api().record_of(reply).text("logs"), "before\n");
}

TEST_F(Calls, ExceptionsComeWithTheirTrace) {
  const Reply reply = call(
      "class Odd(Exception):\n"
      "    pass\n"
      "def inner(n):\n"
      "    raise Odd(f'bad value {n}')\n"
      "def handler(event):\n"
      "    inner(7)\n");
  ASSERT_TRUE(failed(reply, 502, "app_error"));
  EXPECT_EQ(reply.text("errorType"), "Odd");
  EXPECT_EQ(reply.text("errorMessage"), "bad value 7");
  EXPECT_EQ(reply.text("requestId"), reply.id());
  const auto& trace = reply.json().at("stackTrace").as_array();
  ASSERT_EQ(trace.size(), 2U) << reply.body;
  const std::string outer(trace[0].as_string());
  const std::string inner(trace[1].as_string());
  EXPECT_NE(outer.find("File \"/var/task/handler.py\", line 6, in handler"), std::string::npos);
  EXPECT_NE(outer.find("inner(7)"), std::string::npos);
  EXPECT_NE(inner.find("line 4, in inner"), std::string::npos);
  const Reply record = api().record_of(reply);
  EXPECT_EQ(record.text("status"), "app_error");
  EXPECT_EQ(record.json().at("error").at("errorType").as_string(), "Odd");
}

TEST_F(Calls, StrangeExceptionsAreStillExceptions) {
  for (const char* source :
       {"class E(Exception):\n    def __str__(self):\n        raise RuntimeError\n"
        "def handler(e):\n    raise E\n",
        "class E(BaseException):\n    pass\ndef handler(e):\n    raise E('base')\n",
        "def handler(e):\n    raise KeyboardInterrupt\n", "def handler(e):\n    handler(e)\n",
        "def handler(e):\n    raise ValueError('\\udc80' + 'x' * 10_000_000)\n",
        "raise ImportError('at import')\n", "def handler(e)\n    syntax\n",
        "import no_such_module\n", "def other(e):\n    pass\n", "handler = 5\n"}) {
    const Reply reply = call(source);
    EXPECT_TRUE(reply.status == 502 || reply.status == 422) << reply.status << ' ' << source;
    EXPECT_NE(reply.text("errorType"), "") << source;
    EXPECT_LT(reply.body.size(), 1U << 20U) << source;
  }
  EXPECT_TRUE(succeeded(call(kEcho)));
}

TEST_F(Calls, ASyntaxErrorNamesItsLine) {
  const Reply reply = call("import os\ndef handler(e):\n    return (\n");
  ASSERT_TRUE(failed(reply, 502, "app_error"));
  EXPECT_EQ(reply.text("errorType"), "SyntaxError");
  EXPECT_NE(reply.body.find("handler.py"), std::string::npos);
}

TEST_F(Calls, ResultsThatAreNotJsonAreErrors) {
  for (const char* result : {"{1, 2}", "b'bytes'", "object()", "float('nan')", "[float('inf')]",
                             "{(1, 2): 3}", "(lambda l: l.append(l) or l)([])",
                             "__import__('functools').reduce(lambda a, _: [a], "
                             "range(100_000), 0)"}) {
    const Reply reply = call("def handler(e):\n    return " + std::string(result) + "\n");
    EXPECT_TRUE(failed(reply, 502, "app_error")) << result;
    EXPECT_NE(reply.text("errorMessage"), "") << result;
  }
  EXPECT_TRUE(succeeded(call(kEcho)));
}

TEST_F(Calls, ALoneSurrogateDoesNoHarm) {
  const Reply reply = call("def handler(e):\n    return '\\ud800'\n");
  EXPECT_TRUE(reply.status == 200 || reply.status == 502) << reply.status;
  EXPECT_TRUE(succeeded(call(kEcho)));
}

TEST_F(Calls, AHugeResultIsRefused) {
  const Reply reply = call("def handler(e):\n    return 'x' * (7 << 20)\n");
  EXPECT_TRUE(failed(reply, 502, "app_error"));
  EXPECT_NE(reply.text("errorMessage").find("result"), std::string::npos) << reply.body;
  EXPECT_TRUE(succeeded(call(kEcho)));
}

TEST_F(Calls, HeadersTellIdStartAndDuration) {
  ASSERT_DEPLOYED(api().deploy("echo", kEcho));
  std::set<std::string> ids;
  for (int i = 0; i < 10; ++i) {
    const Reply reply = api().invoke("echo");
    ASSERT_TRUE(succeeded(reply));
    EXPECT_EQ(reply.id().size(), 36U);
    ids.insert(reply.id());
    const std::string start = reply.header("x-sock-start");
    EXPECT_TRUE(start == "parked" || start == "clone" || start == "cold") << start;
    EXPECT_GT(std::atol(reply.header("x-sock-duration-us").c_str()), 0);
  }
  EXPECT_EQ(ids.size(), 10U);
}

TEST_F(Calls, TheRecordHoldsWhatHappened) {
  const Reply reply =
      call("import time\ndef handler(e):\n    time.sleep(0.1)\n    return {'a': 1}\n");
  ASSERT_TRUE(succeeded(reply));
  const Reply record = api().record_of(reply);
  ASSERT_EQ(record.status, 200U) << record.body;
  EXPECT_EQ(record.text("id"), reply.id());
  EXPECT_EQ(record.text("function"), "t");
  EXPECT_EQ(record.text("status"), "ok");
  EXPECT_EQ(record.text("start"), reply.header("x-sock-start"));
  EXPECT_EQ(record.number("exit"), 0);
  EXPECT_EQ(record.json().at("result"), boost::json::parse(R"({"a":1})"));
  EXPECT_TRUE(record.json().at("error").is_null());
  for (const char* field : {"queue_us", "create_us", "init_us", "run_us", "total_us", "cpu_us"}) {
    EXPECT_GE(record.number(field), 0) << field;
  }
  EXPECT_GE(record.number("run_us"), 100'000);
  EXPECT_GE(record.number("total_us"), record.number("run_us"));
  EXPECT_LT(record.number("cpu_us"), 100'000) << "sleeping is not CPU time";
  EXPECT_GT(record.number("max_rss"), 100'000);
  EXPECT_LE(record.number("max_rss"), 256LL << 20);
  const Reply calls = api().get("/v1/functions/t/calls");
  ASSERT_FALSE(calls.json().at("calls").as_array().empty()) << calls.body;
  EXPECT_EQ(calls.json().at("calls").at(0).as_string(), reply.id());
}

TEST_F(Calls, FilesOfABundleLieInVarTask) {
  ASSERT_DEPLOYED(api().deploy("t",
                               "import os\ndef handler(e):\n"
                               "    return [os.getcwd(), open('handler.py').read(6), __file__]\n"));
  EXPECT_EQ(api().invoke("t").body, R"(["/var/task","import","/var/task/handler.py"])");
}

}  // namespace
}  // namespace sock::e2e
