// A table in JSON lines: an object a line, whose members are the columns.
#pragma once

#include "runtime/files/Csv.h"

namespace kiln {

/// The header holds the first line's names; every line must have the same ones. Throws Error with the line.
CsvTable parseJsonRows(std::string_view text, const std::string &what);

} // namespace kiln
