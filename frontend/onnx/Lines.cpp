// The text: its statements, made to read well: nothing unused, and no name for what is used once and short.
#include "frontend/onnx/Importer.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>

namespace kiln::onnx {

static bool isWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Calls `found` with each name in an expression and its place; keywords of calls and words in strings are none.
template <typename Found> static void eachName(const std::string &text, Found found) {
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      i = text.find('"', i + 1);
      if (i == std::string::npos)
        return;
      ++i;
      continue;
    }
    if (!isWord(text[i])) {
      ++i;
      continue;
    }
    size_t begin = i;
    while (i < text.size() && isWord(text[i]))
      ++i;
    bool isKeyword = i + 1 < text.size() && text[i] == '=' && text[i + 1] != '=';
    bool isAttribute = begin > 0 && text[begin - 1] == '.';
    if (!isKeyword && !isAttribute)
      found(text.substr(begin, i - begin), begin);
  }
}

/// A name, a number, a call or a subscript as a whole: it needs no brackets wherever it stands.
static bool isAtom(const std::string &text) {
  size_t i = 0;
  while (i < text.size() && (isWord(text[i]) || text[i] == '.'))
    ++i;
  while (i < text.size()) {
    if (text[i] != '(' && text[i] != '[' && text[i] != '.')
      return false;
    if (text[i] == '.') {
      ++i;
      while (i < text.size() && isWord(text[i]))
        ++i;
      continue;
    }
    int depth = 0;
    do {
      depth += text[i] == '(' || text[i] == '[' ? 1 : text[i] == ')' || text[i] == ']' ? -1 : 0;
      ++i;
    } while (i < text.size() && depth > 0);
  }
  return true;
}

/// Does what stands there stand alone between brackets and commas?
static bool standsAlone(const std::string &text, size_t begin, size_t end) {
  auto follows = [&](std::string_view mark) {
    return begin >= mark.size() && text.compare(begin - mark.size(), mark.size(), mark) == 0;
  };
  bool left = begin == 0 || follows("(") || follows(", ") || (follows(" = ") && text.find('=') == begin - 2);
  bool right = end == text.size() || text[end] == ')' || text[end] == ',';
  return left && right;
}

static void dropUnused(std::vector<Line> &lines, const std::string &result) {
  std::set<std::string> used;
  auto use = [&](const std::string &text) {
    eachName(text, [&](const std::string &name, size_t) { used.insert(name); });
  };
  use(result);
  std::vector<Line> kept;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    bool wanted = line->fixed;
    for (const std::string &name : line->names)
      wanted |= used.contains(name);
    if (!wanted)
      continue;
    use(line->expression);
    kept.push_back(std::move(*line));
  }
  lines.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
}

std::map<std::string, int> countUses(const std::vector<Line> &lines, const std::string &result) {
  std::map<std::string, int> uses;
  auto count = [&](const std::string &text) { eachName(text, [&](const std::string &name, size_t) { ++uses[name]; }); };
  count(result);
  for (const Line &line : lines)
    count(line.expression);
  return uses;
}

std::string withInserted(const std::string &text, const std::string &name, const std::string &inner, size_t longest) {
  size_t place = std::string::npos;
  eachName(text, [&](const std::string &found, size_t begin) { place = found == name ? begin : place; });
  if (place == std::string::npos || text.size() + inner.size() > longest)
    return text;
  size_t end = place + name.size();
  bool bare = isAtom(inner) || standsAlone(text, place, end);
  return text.substr(0, place) + (bare ? inner : "(" + inner + ")") + text.substr(end);
}

void inlineLines(std::vector<Line> &lines, std::string &result) {
  constexpr size_t kWidth = 104;
  dropUnused(lines, result);
  std::map<std::string, int> uses = countUses(lines, result);
  std::map<std::string, size_t> pending; // names that may go into their use, and their lines
  std::vector<bool> gone(lines.size(), false);
  for (size_t at = 0; at < lines.size(); ++at) {
    Line &line = lines[at];
    size_t left = line.names.empty() ? 0 : line.names[0].size();
    for (bool again = !line.fixed || line.takes; again;) {
      again = false;
      std::string found;
      eachName(line.expression, [&](const std::string &name, size_t) {
        if (auto it = pending.find(name); found.empty() && it != pending.end()) {
          const Line &from = lines[it->second];
          bool near = at - it->second <= 8 && from.depth == line.depth;
          if (near && line.expression.size() + from.expression.size() < kWidth - left)
            found = name;
        }
      });
      if (found.empty())
        continue;
      line.expression = withInserted(line.expression, found, lines[pending[found]].expression, std::string::npos);
      std::vector<std::string> &nodes = lines[pending[found]].nodes;
      line.nodes.insert(line.nodes.begin(), nodes.begin(), nodes.end());
      gone[pending[found]] = true;
      pending.erase(found);
      again = true;
    }
    if (line.names.size() == 1 && !line.fixed && uses[line.names[0]] == 1)
      pending[line.names[0]] = at;
  }
  std::vector<Line> kept;
  for (size_t at = 0; at < lines.size(); ++at)
    if (!gone[at])
      kept.push_back(std::move(lines[at]));
  lines = std::move(kept);
}

std::string Importer::returned() {
  std::string out;
  size_t count = model_.graph.outputs.size();
  std::set<std::string> taken;
  for (const ValueInfo &output : model_.graph.outputs) {
    Value *value = find(output.name);
    if (!value)
      throw Error("the result '" + output.name + "' is defined nowhere");
    if (value->failed)
      return "";
    std::string text = tensor(*value), name = identifier(output.name, "output");
    for (int i = 2; !taken.insert(name).second; ++i)
      name = identifier(output.name, "output") + "_" + std::to_string(i);
    out += (out.empty() ? "" : ", ") + (count == 1 ? text : name + "=" + text);
  }
  return count == 1 ? out : "dict(" + out + ")";
}

/// "node '/encoder/MatMul'", "nodes '/encoder/MatMul' to '/encoder/Add'"; what else a file may have in a name goes.
static std::string originText(const Line &line) {
  if (line.nodes.empty() || line.nodes.front().empty())
    return "";
  auto quoted = [](const std::string &name) {
    std::string out = "'";
    for (char c : name.substr(0, 200))
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
    return out + "'";
  };
  const std::string &first = line.nodes.front(), &last = line.nodes.back();
  return first == last ? "node " + quoted(first) : "nodes " + quoted(first) + " to " + quoted(last);
}

std::string Importer::text(const std::string &arguments, std::string result) {
  findComposites(lines_, result, [this](const std::string &name) {
    std::optional<language::Draft::Type> type = draft_->typeOf(name);
    return type ? static_cast<int64_t>(type->dims.size()) : -1;
  });
  inlineLines(lines_, result);
  std::string out = "# Imported from ONNX" +
                    (model_.producer.empty() ? "" : " (" + identifier(model_.producer, "producer") + ")") + ".\n";
  out += "model " + options_.name + "():\n";
  for (const std::string &line : declarations_)
    out += "    " + line + "\n";
  out += std::string(declarations_.empty() ? "" : "\n") + "    def forward(" + arguments + "):\n";
  out_.origins.resize(static_cast<size_t>(std::count(out.begin(), out.end(), '\n')));
  for (const Line &line : lines_) {
    std::string left;
    for (const std::string &name : line.names)
      left += (left.empty() ? "" : ", ") + name;
    out_.origins.push_back(originText(line));
    out += std::string(8 + 4 * static_cast<size_t>(line.depth), ' ') + left + (left.empty() ? "" : " = ") +
           line.expression + "\n";
  }
  return out + "        return " + result + "\n" + (options_.train ? recipe() : "");
}

} // namespace kiln::onnx
