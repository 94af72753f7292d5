// Line by line, each an object of its own.

#include "runtime/files/JsonRows.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>

namespace kiln {

CsvTable parseJsonRows(std::string_view text, const std::string &what) {
  CsvTable table;
  size_t line = 0;
  for (std::string_view content : linesOf(text)) {
    ++line;
    if (content.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    std::string where = what + ", line " + std::to_string(line);
    Json json = Json::parse(content, where);
    if (!json.isObject())
      fail("%s: a JSON object is expected, with a member for each column", where.c_str());
    if (table.header.empty())
      for (const Json &member : json.object())
        table.header.push_back(member.key());
    std::vector<std::string> row(table.header.size());
    if (json.object().size() != row.size())
      fail("%s: %zu columns, expected %zu as in the first row", where.c_str(), json.object().size(), row.size());
    for (const Json &member : json.object()) {
      auto column = std::find(table.header.begin(), table.header.end(), member.key());
      if (column == table.header.end())
        fail("%s: the first row has no column '%s'", where.c_str(), member.key().c_str());
      if (member.isArray() || member.isObject())
        fail("%s: '%s' is no text and no number", where.c_str(), member.key().c_str());
      if (!member.isNull())
        row[static_cast<size_t>(column - table.header.begin())] = member.isString() ? member.string() : member.str();
    }
    table.rows.push_back(std::move(row));
    table.lines.push_back(line);
  }
  if (table.rows.empty())
    fail("%s has no rows", what.c_str());
  table.width = table.header.size();
  return table;
}

} // namespace kiln
