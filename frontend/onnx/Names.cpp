// Names: of the file, of the text, and what of the first makes good ones of the second.
#include "frontend/onnx/Importer.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>

namespace kiln::onnx {

std::string identifier(const std::string &text, const std::string &fallback) {
  std::string out;
  for (char c : text) {
    bool fits = std::isalnum(static_cast<unsigned char>(c)) || c == '_';
    if (fits || (!out.empty() && out.back() != '_'))
      out += fits ? c : '_';
  }
  while (!out.empty() && out.back() == '_')
    out.pop_back();
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0])))
    out = fallback + (out.empty() ? "" : "_" + out);
  return out.substr(0, 60);
}

/// What exporters write around a name: "/layers/0/norm/Add_output_0" is the Add of layers/0/norm, "x/y:0" is x/y.
static std::string shortened(std::string name, const std::string &fallback) {
  if (size_t colon = name.rfind(':'); colon != std::string::npos && colon + 2 >= name.size())
    name.resize(colon);
  if (size_t output = name.rfind("_output_"); output != std::string::npos && output + 9 >= name.size())
    name.resize(output);
  if (name.empty() || name.find_first_not_of("0123456789") == std::string::npos) {
    std::string lower = fallback;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    return name.empty() ? lower : lower + "_" + name;
  }
  size_t slash = name.rfind('/');
  if (slash == std::string::npos)
    return name;
  // The last two parts of a path tell enough.
  size_t before = slash == 0 ? std::string::npos : name.rfind('/', slash - 1);
  name = name.substr(before == std::string::npos ? 0 : before + 1);
  // One tells enough where both say the same: "LayerNorm/LayerNormalization".
  slash = name.rfind('/');
  auto isAlike = [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); };
  if (slash != std::string::npos && slash > 3 && name.size() >= 2 * slash + 1 &&
      std::equal(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(slash),
                 name.begin() + static_cast<std::ptrdiff_t>(slash) + 1, isAlike))
    name.resize(slash);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::string untaken(const std::string &wish, const std::function<bool(const std::string &)> &isTaken) {
  std::string name = wish;
  for (int i = 2; isTaken(name); ++i)
    name = wish + "_" + std::to_string(i);
  return name;
}

std::string freshIn(std::set<std::string> &names, const std::string &wish) {
  return untaken(wish, [&](const std::string &name) { return !names.insert(name).second; });
}

std::string Importer::fresh(const std::string &wish, const std::string &fallback) {
  std::string base = identifier(shortened(wish, fallback), "v");
  std::string name = base;
  for (int &i = numbers_.try_emplace(base, 2).first->second; !names_.insert(name).second; ++i)
    name = base + "_" + std::to_string(i);
  return name;
}

Value *Importer::find(const std::string &name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    if (auto found = scope->find(name); found != scope->end())
      return &found->second;
  return nullptr;
}

void Importer::bind(const std::string &name, Value value) {
  if (!scopes_.back().emplace(name, std::move(value)).second)
    throw Error("the name '" + name + "' is defined twice");
}

} // namespace kiln::onnx
