// The text: its statements, made to read well: nothing unused, and no name for what is used once and short.
#include "frontend/onnx/Repeats.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>

namespace kiln::onnx {

static bool isWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

void eachName(const std::string &text, const std::function<void(const std::string &, size_t)> &found) {
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

std::string renamed(const std::string &text, const std::map<std::string, std::string> &names) {
  std::string out;
  size_t done = 0;
  eachName(text, [&](const std::string &name, size_t begin) {
    if (auto other = names.find(name); other != names.end()) {
      out += text.substr(done, begin - done) + other->second;
      done = begin + name.size();
    }
  });
  return out + text.substr(done);
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

void dropUnused(std::vector<Line> &lines, const std::string &result) {
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

/// How tightly an operator binds, as it stands between spaces; 0 where it is none of sums and products.
static int bindingOf(std::string_view mark) {
  if (mark == " + " || mark == " - ")
    return 1;
  return mark == " * " || mark == " / " || mark == " @ " || mark == " % " ? 2 : 0;
}

/// The loosest operator outside of brackets; 0 where there are others than those of sums and products.
static int loosest(std::string_view text) {
  int depth = 0, out = 2;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '(' || text[i] == '[' ? 1 : text[i] == ')' || text[i] == ']' ? -1 : 0;
    if (depth > 0 || text[i] != ' ')
      continue;
    int binding = bindingOf(text.substr(i, 3));
    if (binding == 0)
      return 0;
    out = std::min(out, binding);
    i += 2;
  }
  return text.empty() || text[0] == '-' || text[0] == '~' || text.find("**") != text.npos ? 0 : out;
}

/// May an expression stand there without brackets, beside what binds no tighter? A sum's right side may not: a + (b +
/// c) is another number.
static bool bindsTighter(const std::string &text, size_t begin, size_t end, const std::string &inner) {
  int binding = loosest(inner), left = 0, right = 0;
  bool begins = begin == 0 || text[begin - 1] == '(';
  bool ends = end == text.size() || text[end] == ')' || text[end] == ',';
  if (!begins && (begin < 3 || (left = bindingOf(std::string_view(text).substr(begin - 3, 3))) == 0))
    return false;
  if (!ends && (right = bindingOf(std::string_view(text).substr(end, 3))) == 0)
    return false;
  return binding > left && (binding > right || right == 1); // (a * b) @ c keeps its brackets for who reads it
}

std::string withInserted(const std::string &text, const std::string &name, const std::string &inner, size_t longest,
                         bool bracketed) {
  size_t place = std::string::npos;
  eachName(text, [&](const std::string &found, size_t begin) { place = found == name ? begin : place; });
  if (place == std::string::npos || text.size() + inner.size() > longest)
    return text;
  size_t end = place + name.size();
  bool bare = isAtom(inner) || standsAlone(text, place, end) || (!bracketed && bindsTighter(text, place, end, inner));
  return text.substr(0, place) + (bare ? inner : "(" + inner + ")") + text.substr(end);
}

void inlineLines(std::vector<Line> &lines, std::string &result) {
  constexpr size_t kWidth = 104;
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
      line.expression = withInserted(line.expression, found, lines[pending[found]].expression, std::string::npos,
                                     /*bracketed=*/false);
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
  std::vector<std::pair<std::string, std::string>> results; // a name and an expression of each
  std::set<std::string> taken;
  auto add = [&](const std::string &wish, const std::string &text) {
    results.emplace_back(freshIn(taken, wish), text);
    return results.back().first;
  };
  std::vector<std::pair<std::string, std::string>> counts;
  for (const ValueInfo &output : model_.graph.outputs) {
    Value *value = find(output.name);
    if (!value)
      throw Error("the result '" + output.name + "' is defined nowhere");
    if (value->failed)
      return "";
    std::string name = add(identifier(output.name, "output"), tensor(*value));
    if (value->rows)
      counts.emplace_back(name + "_count", value->rows->count);
  }
  // Of how many rows data decide, the number is a result too; behind the file's own ones, which keep their places.
  for (const auto &[name, text] : counts)
    add(name, text);
  std::string out;
  for (const auto &[name, text] : results)
    out += (out.empty() ? "" : ", ") + (results.size() == 1 ? text : name + "=" + text);
  return results.size() == 1 ? out : "dict(" + out + ")";
}

/// "node '/encoder/MatMul'", "nodes '/encoder/MatMul' to '/encoder/Add'"; what else a file may have in a name goes.
std::string originText(const Line &line) {
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

std::string Declared::text() const {
  return name + " = " + type + (stored == name ? "" : ", name=\"" + stored + "\"") + ")";
}

std::string lineText(const Line &line) {
  std::string left;
  for (const std::string &name : line.names)
    left += (left.empty() ? "" : ", ") + name;
  return std::string(4 * static_cast<size_t>(line.depth), ' ') + left + (left.empty() ? "" : " = ") + line.expression;
}

/// What the last line computes is returned as it stands there.
static void returnLast(Module &module) {
  if (module.lines.empty())
    return;
  Line &last = module.lines.back();
  if (last.depth != 0 || last.fixed || last.names.size() != 1 || last.names[0] != module.result)
    return;
  module.result = last.expression;
  module.returned = std::move(last.nodes);
  module.lines.pop_back();
}

std::string Importer::text(const std::string &arguments, std::string result) {
  findComposites(lines_, result, [this](const std::string &name) {
    std::optional<language::Draft::Type> type = draft_->typeOf(name);
    return type ? static_cast<int64_t>(type->dims.size()) : -1;
  });
  dropUnused(lines_, result);
  Program program{std::move(lines_), std::move(result), std::move(declarations_)};
  std::map<std::string, std::string> aliases;
  auto typeOf = [&](const std::string &name) {
    auto alias = aliases.find(name);
    return draft_->typeOf(alias == aliases.end() ? name : alias->second);
  };
  Surroundings around{typeOf, names_, aliases, dims_, options_.name};
  if (!options_.flat)
    foldRepeats(program, around, out_.weights);
  out_.folded = !program.modules.empty();
  for (Module &module : program.modules) {
    inlineLines(module.lines, module.result);
    returnLast(module);
  }
  inlineLines(program.lines, program.result);
  std::string out = "# Imported from ONNX" +
                    (model_.producer.empty() ? "" : " (" + identifier(model_.producer, "producer") + ")") + ".\n";
  out_.origins.resize(1);
  std::vector<std::string> attributes;
  out += modulesText(program, around, out_.origins, attributes);
  size_t done = out.size();
  out += "model " + options_.name + "():\n";
  for (const Declared &declared : program.parameters)
    out += "    " + declared.text() + "\n";
  for (const std::string &attribute : attributes)
    out += "    " + attribute + "\n";
  out += std::string(program.parameters.empty() && attributes.empty() ? "" : "\n") + "    def forward(" + arguments +
         "):\n";
  out_.origins.resize(out_.origins.size() + static_cast<size_t>(std::count(
                                                out.begin() + static_cast<std::ptrdiff_t>(done), out.end(), '\n')));
  for (const Line &line : program.lines) {
    out_.origins.push_back(originText(line));
    out += "        " + lineText(line) + "\n";
  }
  return out + "        return " + program.result + "\n" + (options_.train ? recipe() : "");
}

} // namespace kiln::onnx
