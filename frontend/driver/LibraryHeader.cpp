// The header's text, entry by entry.

#include "frontend/driver/LibraryHeader.h"

#include "frontend/driver/LibraryTemplate.h"
#include "runtime/library/library.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

#include <algorithm>

namespace kiln {

namespace {

constexpr const char *kFunctions[] = {"last_error", "create",     "destroy", "load", "save",
                                      "run",        "train_step", "step",    "reset"};

/// "ids   i32[B, T]", one a line under "inputs:"; the names padded to one width.
void list(std::string &text, const char *what, const std::vector<const ArgumentSpec *> &arguments) {
  size_t width = 0;
  for (const ArgumentSpec *argument : arguments)
    width = std::max(width, argument->name.size());
  const char *head = what;
  for (const ArgumentSpec *argument : arguments) {
    std::string type =
        argument->type.shape.empty() ? std::string(dtypeName(argument->type.dtype)) + " scalar" : argument->type.str();
    absl::StrAppend(&text, " *     ", head, std::string(10 - std::string(head).size(), ' '), argument->name,
                    std::string(width - argument->name.size(), ' '), "  ", type, "\n");
    head = "";
  }
}

std::string describeEntry(const EntrySpec &entry, const std::string &title) {
  std::string text = absl::StrCat(" *   ", title);
  std::vector<std::string> bounds;
  for (const SymbolSpec &symbol : entry.symbols)
    bounds.push_back(absl::StrCat(symbol.least, " <= ", symbol.name, " <= ", symbol.bound));
  absl::StrAppend(&text, bounds.empty() ? "" : ", where ", absl::StrJoin(bounds, ", "), "\n");
  std::vector<const ArgumentSpec *> inputs, outputs;
  for (const ArgumentSpec &argument : entry.arguments) {
    if (argument.role == Role::Input && !argument.result)
      inputs.push_back(&argument);
    if (argument.result && entry.name != "train_step" &&
        (argument.role == Role::Loss || argument.role == Role::Metric || argument.role == Role::Output ||
         argument.role == Role::Gradient))
      outputs.push_back(&argument);
  }
  list(text, "inputs:", inputs);
  list(text, "outputs:", outputs);
  return text;
}

/// The leading comment: what the library is, how to build with it, and all of its functions.
std::string about(const Manifest &manifest, const std::string &library, const std::string &prefix) {
  std::string name(absl::StripSuffix(absl::StripPrefix(library, "lib"), ".so"));
  std::string build = absl::StartsWith(library, "lib") && absl::EndsWith(library, ".so")
                          ? absl::StrCat("cc main.c -L. -l", name)
                          : absl::StrCat("cc main.c ./", library);
  std::string text = absl::StrCat("The model ", manifest.model, " as a library (", library, "), ", kLibraryHeaderMark,
                                  build, " -Wl,-rpath,.\n *\n");
  absl::StrAppend(&text, " * Functions, for ", prefix, "_run. Where a dimension is a name, the inputs decide it.\n");
  for (const EntrySpec &entry : manifest.entries)
    if (entry.name != "train_step" && !entry.name.starts_with("train_step.") && !entry.name.starts_with("shard.") &&
        !entry.name.starts_with("eval.pool") &&
        !entry.name.starts_with("stage.")) // the latter two are parts of the program's own commands
      absl::StrAppend(&text, describeEntry(entry, absl::StrCat("\"", entry.name, "\"")));
  if (const EntrySpec *train = manifest.findEntry("train_step"))
    absl::StrAppend(&text, " *\n * A batch, for ", prefix, "_train_step:\n", describeEntry(*train, "one step"));
  return std::string(absl::StripSuffix(text, "\n"));
}

} // namespace

std::string libraryPrefix(const std::string &model) {
  std::string prefix;
  for (size_t i = 0; i < model.size(); ++i) {
    bool upper = absl::ascii_isupper(model[i]);
    bool afterLower = i > 0 && !absl::ascii_isupper(model[i - 1]) && model[i - 1] != '_';
    bool endsAcronym = i > 0 && absl::ascii_isupper(model[i - 1]) && i + 1 < model.size() &&
                       absl::ascii_islower(model[i + 1]); // the P of GPTPolicy
    if (upper && (afterLower || endsAcronym))
      prefix += '_';
    prefix += absl::ascii_tolower(model[i]);
  }
  return prefix;
}

std::vector<std::pair<std::string, std::string>> libraryExports(const std::string &model) {
  std::vector<std::pair<std::string, std::string>> exports;
  for (const char *function : kFunctions)
    exports.emplace_back(absl::StrCat(libraryPrefix(model), "_", function), absl::StrCat("kiln_library_", function));
  return exports;
}

absl::StatusOr<std::string> libraryHeader(const Manifest &manifest, const std::string &library) {
  for (const EntrySpec &entry : manifest.entries)
    for (const ArgumentSpec &argument : entry.arguments)
      if (argument.type.shape.size() > KILN_TENSOR_MAX_RANK &&
          (argument.role == Role::Input || argument.role == Role::Output || argument.role == Role::Gradient))
        return absl::UnimplementedError(absl::StrCat("--emit shared: ", roleName(argument.role), " '", argument.name,
                                                     "' of '", entry.name, "' has ", argument.type.shape.size(),
                                                     " dimensions; a library's tensors have at most ",
                                                     KILN_TENSOR_MAX_RANK, "; choose other functions with --entry"));
  std::string prefix = libraryPrefix(manifest.model);
  std::string seed = manifest.train.isObject() && manifest.train.find("seed")
                         ? absl::StrCat(" (the recipe's own is ", manifest.train.integerOr("seed", 0), ")")
                         : "";
  return absl::StrReplaceAll(kLibraryTemplate, {{"ABOUT", about(manifest, library, prefix)},
                                                {"SEED", seed},
                                                {"KILN_LIBRARY", absl::AsciiStrToUpper(prefix)},
                                                {"kiln_library", prefix}});
}

} // namespace kiln
