#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "cli/client.h"
#include "cli/failure.h"

namespace sock::cli {

/// What an answer with an error status means: exit code, message, traceback. Bodies that are not
/// the API's error object are shown by their first bytes.
[[nodiscard]] Failure failure_of(const Response& response);

/// An error object the way Python prints an exception: "Traceback (most recent call last):", the
/// frames, "Type: message". Without frames only the last line. Printable, no line feed at the end.
[[nodiscard]] std::string traceback_of(const boost::json::object& error);

/// The response's body as an object when it is a success, its failure otherwise.
[[nodiscard]] Outcome<boost::json::object> object_of_answer(const Response& response,
                                                            std::string_view what);

}  // namespace sock::cli
