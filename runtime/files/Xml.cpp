// As much of XML as tables in it use: elements, attributes, text, entities; comments, declarations and a DOCTYPE are
// passed over.

#include "runtime/files/Xml.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace kiln {

namespace {

class XmlReader {
public:
  XmlReader(std::string_view text, const std::string &what) : text_(text), what_(what) {}

  CsvTable table() {
    CsvTable table;
    if (size_t nul = text_.find('\0'); nul != std::string_view::npos) {
      at_ = nul;
      wrong("a NUL byte, which no text has");
    }
    skipOutside();
    std::string root = open().first;
    while (skipSpace(), !closes()) {
      size_t line = lineNow();
      Cells cells = row();
      if (table.header.empty())
        for (const auto &[name, value] : cells)
          table.header.push_back(name);
      table.rows.push_back(ordered(cells, table.header, line));
      table.lines.push_back(line);
    }
    close(root);
    skipOutside();
    if (at_ < text_.size())
      wrong("something stands behind the root element");
    if (table.rows.empty())
      fail("%s has no rows: the root element <%s> is empty", what_.c_str(), root.c_str());
    table.width = table.header.size();
    return table;
  }

private:
  using Cells = std::vector<std::pair<std::string, std::string>>;

  [[noreturn]] void wrong(const std::string &why) { fail("%s, line %zu: %s", what_.c_str(), lineNow(), why.c_str()); }
  size_t lineNow() {
    line_ += static_cast<size_t>(std::count(text_.begin() + static_cast<ptrdiff_t>(counted_),
                                            text_.begin() + static_cast<ptrdiff_t>(at_), '\n'));
    counted_ = at_;
    return line_;
  }
  static bool space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  bool is(std::string_view next) const { return text_.substr(at_).starts_with(next); }
  void past(std::string_view end, const char *part) {
    size_t found = text_.find(end, at_);
    if (found == std::string_view::npos)
      wrong(std::string(part) + " is opened here and never closed");
    at_ = found + end.size();
  }
  /// White space and comments.
  void skipSpace() {
    while (at_ < text_.size()) {
      if (space(text_[at_]))
        ++at_;
      else if (is("<!--"))
        past("-->", "a comment");
      else
        return;
    }
  }
  /// What may stand around the root.
  void skipOutside() {
    while (skipSpace(), at_ < text_.size()) {
      if (is("<?"))
        past("?>", "a declaration");
      else if (is("<!"))
        past(">", "a declaration");
      else
        return;
    }
  }
  bool closes() {
    if (at_ >= text_.size())
      wrong("the text ends within an element");
    return is("</");
  }
  std::string name() {
    size_t begin = at_;
    while (at_ < text_.size() && !space(text_[at_]) &&
           std::string_view("<>/=\"'&").find(text_[at_]) == std::string::npos)
      ++at_;
    if (at_ == begin)
      wrong("a name is expected");
    return std::string(text_.substr(begin, at_ - begin));
  }
  /// `<name a="b">`: its name and attributes; empty_ says whether it closes itself.
  std::pair<std::string, Cells> open() {
    if (!is("<") || is("</"))
      wrong("an element is expected, as in <item>");
    ++at_;
    std::pair<std::string, Cells> element{name(), {}};
    while (true) {
      skipSpace();
      empty_ = is("/>");
      if (empty_ || is(">")) {
        at_ += empty_ ? 2 : 1;
        return element;
      }
      std::string attribute = name();
      skipSpace();
      if (!is("="))
        wrong("the attribute '" + attribute + "' has no value");
      ++at_;
      skipSpace();
      if (!is("\"") && !is("'"))
        wrong("the attribute '" + attribute + "' has no quotes around its value");
      char quote = text_[at_++];
      size_t end = text_.find(quote, at_);
      if (end == std::string_view::npos)
        wrong("a quote is opened here and never closed");
      std::string_view value = text_.substr(at_, end - at_);
      element.second.emplace_back(attribute, decoded(value));
      at_ = end + 1;
    }
  }
  void close(const std::string &element) {
    if (!is("</"))
      wrong("</" + element + "> is expected");
    at_ += 2;
    if (std::string found = name(); found != element)
      wrong("</" + found + "> closes <" + element + ">");
    skipSpace();
    if (!is(">"))
      wrong("</" + element + " is not closed by >");
    ++at_;
  }
  Cells row() {
    auto [element, cells] = open();
    while (!empty_ && (skipSpace(), !closes())) {
      std::string child = open().first, text;
      bool leaf = empty_;
      while (!leaf && !closes()) {
        if (is("<!--")) {
          past("-->", "a comment");
          continue;
        }
        if (is("<![CDATA[")) {
          size_t begin = at_ + 9;
          past("]]>", "a CDATA section");
          text += text_.substr(begin, at_ - 3 - begin);
          continue;
        }
        if (is("<"))
          wrong("<" + child + "> holds an element; a row's elements hold text alone");
        size_t end = std::min(text_.find('<', at_), text_.size());
        text += decoded(text_.substr(at_, end - at_));
        at_ = end;
      }
      if (!leaf)
        close(child);
      cells.emplace_back(child, text);
      empty_ = false;
    }
    if (!empty_)
      close(element);
    return cells;
  }
  std::vector<std::string> ordered(const Cells &cells, const std::vector<std::string> &header, size_t line) {
    std::vector<std::string> row;
    for (const std::string &column : header) {
      const std::string *found = nullptr;
      for (const auto &[name, value] : cells)
        if (name == column && found)
          fail("%s, line %zu: '%s' stands twice in a row", what_.c_str(), line, column.c_str());
        else if (name == column)
          found = &value;
      if (!found)
        fail("%s, line %zu: the row has no '%s', which the first one has", what_.c_str(), line, column.c_str());
      row.push_back(*found);
    }
    if (cells.size() != header.size())
      fail("%s, line %zu: the row has %zu columns, the first one %zu", what_.c_str(), line, cells.size(),
           header.size());
    return row;
  }
  std::string decoded(std::string_view text) {
    constexpr std::pair<std::string_view, char> names[] = {
        {"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '&') {
        out += text[i];
        continue;
      }
      size_t end = text.find(';', i);
      auto known = std::find_if(std::begin(names), std::end(names),
                                [&](const auto &name) { return text.substr(i + 1).starts_with(name.first); });
      if (known != std::end(names)) {
        out += known->second;
        i += known->first.size();
      } else if (end != std::string_view::npos && end - i < 10 && text.substr(i + 1).starts_with("#")) {
        bool hex = text[i + 2] == 'x';
        unsigned long code =
            std::strtoul(std::string(text.substr(i + (hex ? 3 : 2), end - i)).c_str(), nullptr, hex ? 16 : 10);
        if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
          wrong("&#…; is no character");
        appendUtf8(out, static_cast<char32_t>(code));
        i = end;
      } else {
        wrong("an & that begins no entity: &amp; stands for it");
      }
    }
    return out;
  }

  std::string_view text_;
  const std::string &what_;
  size_t at_ = 0, line_ = 1, counted_ = 0;
  bool empty_ = false;
};

} // namespace

CsvTable parseXmlRows(std::string_view text, const std::string &what) { return XmlReader(text, what).table(); }

} // namespace kiln
