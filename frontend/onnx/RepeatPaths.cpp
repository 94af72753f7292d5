// Where instances of modules stand: paths of attributes, and the modules and lists that hold them.
#include "frontend/onnx/Repeats.h"

#include <algorithm>
#include <cctype>

namespace kiln::onnx {

bool isNumber(const std::string &part) {
  return !part.empty() && part.size() < 5 && part.find_first_not_of("0123456789") == std::string::npos;
}

std::vector<std::string> partsOf(const std::string &path) {
  std::vector<std::string> out;
  for (size_t at = 0; at < path.size();) {
    size_t end = std::min(path.find('.', at), path.size());
    out.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::string pathText(const std::vector<std::string> &path) {
  std::string out;
  for (const std::string &part : path)
    out += part + ".";
  return out;
}

std::string accessText(const std::vector<std::string> &path) {
  std::string out;
  for (const std::string &part : path)
    out += isNumber(part) ? "[" + part + "]" : (out.empty() ? "" : ".") + part;
  return out;
}

/// What is in front of the end that all have in common: "encoder.layer.0" and "encoder.layer.1" of "encoder.layer.0.w"
/// and "encoder.layer.1.w". Empty where one has none.
static std::vector<std::vector<std::string>> fronts(const std::vector<std::string> &names) {
  std::vector<std::vector<std::string>> out;
  for (const std::string &name : names)
    out.push_back(partsOf(name));
  for (;;) {
    for (const std::vector<std::string> &one : out)
      if (one.empty() || one.back() != out[0].back() || one.size() != out[0].size()) {
        bool fits = std::all_of(out.begin(), out.end(), [&](const auto &o) { return o.size() == out[0].size(); });
        return fits && !out[0].empty() ? out : std::vector<std::vector<std::string>>();
      }
    for (std::vector<std::string> &one : out)
      one.pop_back();
  }
}

/// The shortest of the fronts, where all names begin with it. Names that are the same in all instances say nothing.
static std::vector<std::vector<std::string>> common(const std::vector<std::vector<std::string>> &all) {
  std::vector<std::vector<std::string>> out;
  std::vector<const std::vector<std::string> *> named;
  for (const std::vector<std::string> &names : all) {
    bool says = std::all_of(names.begin(), names.end(), [](const std::string &name) {
      return name.find('.') != std::string::npos && !isExporters(name);
    });
    if (!says || std::all_of(names.begin(), names.end(), [&](const auto &name) { return name == names[0]; }))
      continue;
    named.push_back(&names);
    std::vector<std::vector<std::string>> front = fronts(names);
    if (front.empty())
      return {};
    if (out.empty() || front[0].size() < out[0].size())
      out = front;
  }
  for (const std::vector<std::string> *names : named) {
    std::string rest;
    for (size_t k = 0; k < names->size(); ++k) {
      std::string path = pathText(out[k]), name = (*names)[k] + ".";
      if (!name.starts_with(path) || (k > 0 && name.substr(path.size()) != rest))
        return {};
      rest = name.substr(path.size());
    }
  }
  return out;
}

std::vector<std::vector<std::string>> pathsOf(const std::vector<std::vector<std::string>> &stored,
                                              const std::vector<std::vector<std::string>> &scopes) {
  std::vector<std::vector<std::string>> paths = common(stored);
  return paths.empty() ? common(scopes) : paths;
}

bool arePaths(const std::vector<std::vector<std::string>> &paths, const Program &program,
              const std::set<std::string> &taken) {
  static const std::set<std::string> words = {"def",  "for",    "in",     "if",   "elif", "else", "while",
                                              "or",   "yield",  "assert", "pass", "and",  "not",  "is",
                                              "True", "return", "False",  "None", "any",  "int",  "float"};
  std::set<std::vector<std::string>> all(paths.begin(), paths.end());
  bool isOurs = false;
  for (const Instance &instance : program.instances) {
    isOurs |= instance.path[0] == paths[0][0];
    all.insert(instance.path);
  }
  if (all.size() != paths.size() + program.instances.size())
    return false;
  std::string root = paths[0][0];
  if (!isOurs && taken.contains(root) && root != "model" && root != "module")
    return false;
  std::map<std::vector<std::string>, bool> holders; // is it a list
  for (const std::vector<std::string> &path : all) {
    std::vector<std::string> front;
    for (const std::string &part : path) {
      if (!isNumber(part) && (identifier(part, "") != part || words.contains(part)))
        return false;
      auto [found, isNew] = holders.try_emplace(front, isNumber(part));
      if (found->second != isNumber(part) || (front.empty() && isNumber(part)))
        return false;
      front.push_back(part);
    }
  }
  return std::none_of(all.begin(), all.end(), [&](const auto &path) { return holders.contains(path); });
}

namespace {
/// An instance, a list, or a module that only holds others.
struct Holder {
  std::map<std::string, Holder> children;
  const Module *module = nullptr;
  std::string widths; ///< the module's arguments

  bool isList() const { return !children.empty() && isNumber(children.begin()->first); }
};

class Writer {
public:
  Writer(std::set<std::string> taken, std::vector<std::string> &origins)
      : taken_(std::move(taken)), origins_(origins) {}

  void write(const Module &module);
  std::string expression(const Holder &holder, const std::string &name, const std::string &access);

  std::string text;
  std::map<std::string, size_t> sizes; ///< of lists, by how they are reached

private:
  void line(const std::string &text, const std::string &origin = "") {
    this->text += text + "\n";
    origins_.push_back(origin);
  }
  std::string list(const Holder &holder, const std::string &access);

  std::set<std::string> taken_;
  std::vector<std::string> &origins_;
};
} // namespace

void Writer::write(const Module &module) {
  line("module " + module.name + "(" + module.widths + "):");
  size_t width = 0;
  for (const Declared &member : module.parameters)
    width = std::max(width, member.name.size());
  for (const Declared &member : module.parameters) {
    std::string declared = member.text();
    line("    " + declared.insert(member.name.size(), std::string(width - member.name.size(), ' ')));
  }
  if (!module.parameters.empty())
    line("");
  line("    def forward(" + module.arguments + ")" + (module.returns.empty() ? "" : " -> " + module.returns) + ":");
  for (const Line &one : module.lines)
    line("        " + lineText(one), originText(one));
  line("        return " + module.result, originText(Line{{}, "", 0, false, false, module.returned}));
  line("");
}

std::string Writer::list(const Holder &holder, const std::string &access) {
  size_t size = 0;
  for (const auto &[part, child] : holder.children)
    size = std::max(size, static_cast<size_t>(std::stoull(part)) + 1);
  sizes[access] = size;
  std::vector<std::string> elements;
  for (size_t i = 0; i < size; ++i) {
    std::string part = std::to_string(i);
    auto child = holder.children.find(part);
    elements.push_back(child == holder.children.end() ? "None"
                                                      : expression(child->second, "part", access + "[" + part + "]"));
  }
  // Three and more of one kind are a loop: [A(1)] + [B(2) for _ in range(3)].
  std::string out, open;
  for (size_t begin = 0, end = 0; begin < size; begin = end) {
    while (end < size && elements[end] == elements[begin])
      ++end;
    bool isLoop = elements[begin] != "None" && (end - begin >= 3 || end - begin == size);
    if (!isLoop) {
      for (size_t i = begin; i < end; ++i)
        open += (open.empty() ? "" : ", ") + elements[i];
      continue;
    }
    out += (out.empty() ? "" : " + ") + (open.empty() ? "" : "[" + open + "] + ") + "[" + elements[begin] +
           " for _ in range(" + std::to_string(end - begin) + ")]";
    open.clear();
  }
  return open.empty() && !out.empty() ? out : out + (out.empty() ? "[" : " + [") + open + "]";
}

/// What makes it; modules that it wants are written.
std::string Writer::expression(const Holder &holder, const std::string &name, const std::string &access) {
  if (holder.module)
    return holder.module->name + "(" + holder.widths + ")";
  if (holder.isList())
    return list(holder, access);
  std::vector<std::string> lines;
  for (const auto &[part, child] : holder.children)
    lines.push_back("    " + part + " = " + expression(child, part, access + "." + part));
  std::string wish = name;
  wish[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(wish[0])));
  std::string ours = freshIn(taken_, wish);
  line("module " + ours + "():");
  for (const std::string &one : lines)
    line(one);
  line("");
  return ours + "()";
}

std::string modulesText(Program &program, const Surroundings &around, std::vector<std::string> &origins,
                        std::vector<std::string> &attributes) {
  std::set<std::string> taken = around.names;
  taken.insert(around.model);
  Holder root;
  for (const Module &module : program.modules)
    taken.insert(module.name);
  for (const Instance &instance : program.instances) {
    Holder *at = &root;
    for (const std::string &part : instance.path)
      at = &at->children[part];
    at->module = &program.modules[instance.module];
    at->widths = instance.widths;
  }
  Writer writer(std::move(taken), origins);
  for (const Module &module : program.modules)
    writer.write(module);
  for (const auto &[part, child] : root.children)
    attributes.push_back(part + " = " + writer.expression(child, part, part));
  // A loop over all of a list names it alone.
  for (Line &line : program.lines) {
    size_t in = line.expression.find(" in "), open = line.expression.rfind('[');
    if (!line.expression.starts_with("for ") || in == std::string::npos || open == std::string::npos || open < in)
      continue;
    auto size = writer.sizes.find(line.expression.substr(in + 4, open - in - 4));
    std::string range = line.expression.substr(open);
    if (size == writer.sizes.end())
      continue;
    std::string end = ":" + std::to_string(size->second) + "]:";
    if (range == "[0" + end)
      line.expression.replace(open, std::string::npos, ":");
    else if (range.ends_with(end))
      line.expression.replace(line.expression.size() - end.size(), std::string::npos, ":]:");
  }
  return writer.text;
}

} // namespace kiln::onnx
