// A table that stands in XML: each element within the root is a row, its attributes and its elements are the columns.
#pragma once

#include "runtime/files/Csv.h"

namespace kiln {

/// The header holds the names, in the first row's order; every row must have the same ones. Throws Error with the line.
CsvTable parseXmlRows(std::string_view text, const std::string &what);

} // namespace kiln
