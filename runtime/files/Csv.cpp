// The parser, one pass over the text.

#include "runtime/files/Csv.h"

#include "runtime/support/Error.h"

namespace kiln {

namespace {
class CsvReader {
public:
  CsvReader(std::string_view text, const std::string &what, char separator, bool quotes)
      : text_(text), what_(what), separator_(separator), quotes_(quotes) {}

  bool atEnd() const { return at_ >= text_.size(); }
  size_t line() const { return line_; }

  void skipLine() {
    while (!atEnd() && text_[at_] != '\n')
      ++at_;
    if (!atEnd())
      ++at_;
    ++line_;
  }

  std::vector<std::string> row() {
    std::vector<std::string> cells;
    while (true) {
      cells.push_back(cell());
      if (atEnd())
        return cells;
      char c = text_[at_++];
      if (c == separator_)
        continue;
      ++line_; // cell() stops at a separator, a newline or the end
      return cells;
    }
  }

private:
  std::string cell() {
    std::string value;
    if (quotes_ && !atEnd() && text_[at_] == '"') {
      size_t opened = line_;
      ++at_;
      while (true) {
        if (atEnd())
          fail("%s, line %zu: a quote is opened here and never closed", what_.c_str(), opened);
        char c = text_[at_++];
        if (c == '"') {
          if (atEnd() || text_[at_] != '"')
            break;
          ++at_;
        }
        line_ += c == '\n';
        value += c;
      }
    }
    while (!atEnd() && text_[at_] != separator_ && text_[at_] != '\n')
      value += text_[at_++];
    if (value.find('\0') != std::string::npos)
      fail("%s, line %zu: a NUL byte, which no text has; is this a table?", what_.c_str(), line_);
    if (!value.empty() && value.back() == '\r')
      value.pop_back();
    return value;
  }

  std::string_view text_;
  const std::string &what_;
  char separator_;
  bool quotes_;
  size_t at_ = 0, line_ = 1;
};
} // namespace

CsvTable parseCsv(std::string_view text, const std::string &what, char separator, size_t skip, bool header,
                  bool quotes) {
  if (text.starts_with("\xef\xbb\xbf"))
    text.remove_prefix(3);
  CsvReader reader(text, what, separator, quotes);
  CsvTable table;
  for (size_t i = 0; i < skip && !reader.atEnd(); ++i)
    reader.skipLine();
  bool first = true;
  while (!reader.atEnd()) {
    size_t line = reader.line();
    std::vector<std::string> cells = reader.row();
    if (cells.size() == 1 && cells[0].empty())
      continue; // an empty line
    if (first)
      table.width = cells.size();
    if (cells.size() != table.width)
      fail("%s, line %zu: %zu columns, expected %zu as in the first row", what.c_str(), line, cells.size(),
           table.width);
    if (first && header) {
      table.header = std::move(cells);
    } else {
      table.lines.push_back(line);
      table.rows.push_back(std::move(cells));
    }
    first = false;
  }
  if (table.rows.empty())
    fail("%s has no rows", what.c_str());
  return table;
}

} // namespace kiln
