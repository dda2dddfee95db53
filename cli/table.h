#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace sock::cli {

enum class Align { kLeft, kRight };

/// Rows in aligned columns. Cells are made printable, so that no text from a sandbox reaches the
/// terminal raw. Rows may be shorter than the header; what is longer is dropped.
class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns);

  void add(std::vector<std::string> cells);

  /// Two spaces between columns, no trailing blanks, the titles first.
  void print(std::ostream& out) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "Name:   value" lines with the values aligned.
void print_pairs(std::ostream& out, const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace sock::cli
