// PROGRAM run
#include "runtime/cli/Labels.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Texts.h"
#include "runtime/cli/Trace.h"
#include "runtime/files/File.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"

#include <cstring>
#include <optional>

namespace kiln {

/// Rows of data, where an --input names some; else null. The linker leaves them out of programs that read no csv and no
/// images, where this is null (frontend/driver/ImageObject.cpp).
extern "C" InputRows *kiln_data_rows(const Options &options, const Common &common, const Manifest &manifest,
                                     const Call &call) __attribute__((weak));

/// The same of pictures.
extern "C" InputRows *kiln_picture_rows(const Options &options, const Manifest &manifest, const Call &call)
    __attribute__((weak));

/// The same of texts. Left out of programs none of whose functions takes any.
extern "C" InputRows *kiln_text_rows(const Options &options, const Common &common, const Manifest &manifest,
                                     const Call &call) __attribute__((weak));

/// --units: results in the units of a field that was normalised (`kept` holds them). Left out of programs whose data
/// normalise nothing.
extern "C" void kiln_result_units(const Options &options, const Common &common, const Manifest &manifest,
                                  std::vector<TensorView> &results, std::vector<std::vector<float>> &kept)
    __attribute__((weak));

/// The names of the classes that results are scores of, where there are some; else null. Left out of programs whose
/// model's text has no `labels`, and whose data have no classes with names.
extern "C" ClassNames *kiln_result_labels(const Options &options, const Common &common, const Manifest &manifest)
    __attribute__((weak));

static std::string defaultFunction(const Manifest &manifest) {
  if (manifest.findEntry("forward"))
    return "forward";
  std::string only;
  for (const EntrySpec &entry : manifest.entries)
    if (sessionOf(entry.name) == Session::Sequence && !entry.name.starts_with("generate.")) {
      if (!only.empty())
        throw UsageError("which function? This program has: " + manifest.entryNames());
      only = entry.name;
    }
  if (only.empty())
    throw UsageError("this program has no function to run; it has: " + manifest.entryNames());
  return only;
}

namespace {

/// What a function gave, as a user sees it.
std::vector<TensorView> allResults(Call &call) {
  std::vector<TensorView> results = call.results(Role::Output);
  for (Role role : {Role::Loss, Role::Metric, Role::Gradient})
    for (TensorView &view : call.results(role)) {
      if (view.name.empty())
        view.name = roleName(role);
      results.push_back(view);
    }
  return results;
}

/// More rows than one run takes: run after run, the results' rows one behind the other.
class Runs {
public:
  Runs(Call &call, const InputRows &rows) : call_(call), rows_(rows) {
    if (rows.count() <= rows.most())
      return;
    for (const ArgumentSpec &argument : call.entry().arguments) {
      bool fills = rows.fills(static_cast<int>(&argument - call.entry().arguments.data()));
      bool seen = argument.role == Role::Output || argument.role == Role::Loss || argument.role == Role::Metric ||
                  argument.role == Role::Gradient;
      if ((argument.role == Role::Input && !fills && ofRows(argument, 0)) ||
          (argument.result && seen && !ofRows(argument, 1)))
        fail("%zu %s do not fit one run of '%s', which takes %zu, and '%s' is %s: not a row for each; give fewer%s%s",
             rows.count(), rows.what(), call.entry().name.c_str(), rows.most(), argument.name.c_str(),
             argument.type.str().c_str(), rows.rowSymbol().empty() ? "" : ", or build with a higher --bound ",
             rows.rowSymbol().c_str());
    }
  }

  std::vector<TensorView> run(uint32_t seed) {
    for (size_t begin = 0; begin < rows_.count(); begin += rows_.most()) {
      size_t size = std::min(rows_.most(), rows_.count() - begin);
      rows_.fill(call_, begin, size);
      call_.run(seed, 0);
      if (size == rows_.count())
        return allResults(call_);
      keep(allResults(call_));
    }
    std::vector<TensorView> views;
    for (Kept &kept : kept_) {
      kept.view.data = kept.bytes.data();
      kept.view.bytes = kept.bytes.size();
      views.push_back(kept.view);
    }
    return views;
  }

private:
  /// Is its first axis the rows (`all`: which it has to be; else: is it any axis)?
  bool ofRows(const ArgumentSpec &argument, int first) const {
    for (size_t d = 0; d < argument.type.shape.size() && (d == 0 || !first); ++d)
      if (argument.type.shape[d] == Dim::symbol(rows_.rowSymbol()))
        return true;
    return false;
  }

  void keep(const std::vector<TensorView> &results) {
    kept_.resize(results.size());
    for (size_t i = 0; i < results.size(); ++i) {
      Kept &kept = kept_[i];
      int64_t before = kept.bytes.empty() ? 0 : kept.view.shape[0];
      kept.view = results[i];
      kept.view.shape[0] += before;
      kept.bytes.insert(kept.bytes.end(), results[i].data, results[i].data + results[i].bytes);
    }
  }

  struct Kept {
    TensorView view;
    std::vector<uint8_t> bytes;
  };
  Call &call_;
  const InputRows &rows_;
  std::vector<Kept> kept_;
};

/// --lines RESULT=FILE: a number stands for that line of a file, from 0.
std::map<std::string, std::vector<std::string>> namedLines(const Options &options) {
  std::map<std::string, std::vector<std::string>> all;
  for (const std::string &text : options.list("lines")) {
    auto [name, path] = splitAssignment("lines", text);
    if (!all.emplace(name, readLines(path)).second)
      throw UsageError("'--lines " + name + "=…' stands twice");
  }
  return all;
}

/// The values: a row of the last axis a line; with lines of a file, each number with its own.
void printValues(const TensorView &view, const std::vector<std::string> *lines) {
  std::printf("%s: %s\n", view.name.c_str(), describeType(view.dtype, view.shape).c_str());
  int64_t count = *countElements(view.shape), width = view.shape.empty() ? 1 : view.shape.back();
  for (int64_t i = 0; i < count; ++i) {
    std::fputs(elementText(view, i).c_str(), stdout);
    if (lines) {
      int64_t number = loadInteger(view.dtype, view.data, i);
      bool there = number >= 0 && number < static_cast<int64_t>(lines->size());
      std::printf("\t%s", there ? (*lines)[static_cast<size_t>(number)].c_str() : "(no such line)");
    }
    std::fputs(lines || (i + 1) % width == 0 ? "\n" : " ", stdout);
  }
}

/// The values as JSON: a list in a list for each axis.
std::string jsonValues(const TensorView &view, size_t axis, int64_t &at) {
  if (axis == view.shape.size()) {
    std::string text = elementText(view, at++);
    return text.find_first_of("ni") == std::string::npos ? text : jsonQuote(text); // nan, inf
  }
  std::string text = "[";
  for (int64_t i = 0; i < view.shape[axis]; ++i)
    text += (i ? "," : "") + jsonValues(view, axis + 1, at);
  return text + "]";
}

/// How many of the highest scores; 0: all, as they come. The names, where there are some.
int64_t readTop(const Options &options, const std::vector<TensorView> &results, const ClassNames *labels) {
  if (!options.has("top"))
    return 0;
  bool any = labels && std::any_of(results.begin(), results.end(), [&](const TensorView &v) { return labels->of(v); });
  if (!any)
    throw UsageError(
        "--top is about scores of classes that have names; no result has such ones: the model's text names "
        "them (`labels = [...]`), or the data that it was trained on");
  return options.integer("top", 0, 1, INT32_MAX);
}

void printResults(const std::vector<TensorView> &results, const Options &options, const ClassNames *labels,
                  JsonOutput &json) {
  auto lines = namedLines(options);
  int64_t top = readTop(options, results, labels);
  for (const auto &[name, all] : lines) {
    NearestName nearest(name);
    bool found = false;
    for (const TensorView &view : results) {
      nearest.consider(view.name);
      found |= view.name == name && !isFloat(view.dtype);
    }
    if (!found)
      fail("--lines %s: there is no result of whole numbers of that name%s", name.c_str(), nearest.hint().c_str());
  }
  JsonLine line;
  for (const TensorView &view : results) {
    int64_t at = 0;
    if (json)
      line.addRaw(view.name, jsonValues(view, 0, at));
    bool names = labels && labels->of(view);
    if (json && names)
      line.addRaw(view.name + ".label", labels->json(view, top));
    auto found = lines.find(view.name);
    if (json.ownsStandardOutput())
      continue;
    if (names)
      labels->print(view, top);
    else
      printValues(view, found == lines.end() ? nullptr : &found->second);
  }
  json.line(line.str());
}

/// `name`: of the one that is asked for, else empty.
void writeResults(const std::string &path, const std::string &name, const std::vector<TensorView> &all,
                  const std::string &function, JsonOutput &json) {
  std::vector<TensorView> results;
  for (const TensorView &view : all)
    if (name.empty() || view.name == name)
      results.push_back(view);
  if (results.empty())
    fail("'%s' gives no result '%s' (a file of such a name: --output ./%s=…)", function.c_str(), name.c_str(),
         name.c_str());
  if (path.ends_with(".npy")) {
    if (results.size() != 1)
      fail("'%s' gives %zu results; a .npy file holds one: write to a .safetensors file", function.c_str(),
           results.size());
    writeNpy(path, results[0]);
  } else {
    writeSafetensors(path, results);
  }
  JsonLine line;
  std::FILE *text = textOutput(json);
  for (const TensorView &view : results) {
    std::fprintf(text, "%s: %s\n", view.name.c_str(), describeType(view.dtype, view.shape).c_str());
    line.add(view.name, describeType(view.dtype, view.shape));
  }
  json.line(line.str());
}

} // namespace

void failTextless(const EntrySpec &entry) {
  std::string names;
  for (const ArgumentSpec &argument : entry.arguments)
    if (argument.role == Role::Input && !argument.result)
      names += (names.empty() ? "" : ", ") + argument.name + " " + argument.type.str();
  fail("'%s' takes no text: an input 'ids' of a row for each text is expected (and mask, types, lengths beside it); "
       "it has: %s",
       entry.name.c_str(), names.empty() ? "none" : names.c_str());
}

static bool asksForTexts(const Options &options) {
  bool texts = options.has("text") || options.has("texts");
  if (!texts && (options.has("pair") || options.has("pairs")))
    throw UsageError("--pair and --pairs stand behind the texts of --text or --texts: give those too");
  return texts;
}

bool runHasUseFor(std::string_view option) {
  if (option == "text" || option == "texts" || option == "pair" || option == "pairs" || option == "tokenizer")
    return kiln_text_rows;
  return option == "units" ? kiln_result_units != nullptr : option != "top" || kiln_result_labels;
}

int runCommand(const Options &options, Common &common) {
  bool texts = asksForTexts(options), writes = options.has("output");
  if (writes && options.has("lines"))
    throw UsageError("--lines is about what is printed; with --output nothing is");
  if (writes && options.has("top"))
    throw UsageError("--top is about what is printed; with --output nothing is");
  if (options.has("tokenizer") && !texts)
    throw UsageError("--tokenizer is about the texts of --text or --texts; there are none");
  std::string path = options.text("output"), result; // [RESULT=]FILE
  if (size_t equals = path.find('='); equals < path.find('/')) {
    result = path.substr(0, equals);
    path.erase(0, equals + 1);
  }
  if (writes)
    checkWritable(path);
  std::unique_ptr<Program> program = startProgram(options, common);
  const Manifest &manifest = program->manifest();
  std::string name = options.positional().empty() ? defaultFunction(manifest) : options.positional()[0];
  // A function that means the same in both modes stands there once.
  if (options.has("training") && manifest.findEntry(name + ".training"))
    name += ".training";
  if (!manifest.findEntry(name) && fileExists(name))
    throw UsageError("'" + name + "' is a file, where a function's name is expected; an input is --input " + name);
  Call &call = program->call(name);
  std::unique_ptr<InputRows> rows(kiln_data_rows ? kiln_data_rows(options, common, manifest, call) : nullptr);
  bool data = rows != nullptr;
  std::unique_ptr<InputRows> pictures(kiln_picture_rows ? kiln_picture_rows(options, manifest, call) : nullptr);
  if (pictures && data)
    throw UsageError("pictures and rows of data do not go into one run");
  if (pictures)
    rows = std::move(pictures);
  if (texts && rows)
    throw UsageError(format("texts and %s do not go into one run", rows->what()));
  if (options.has("data") && !texts && !data)
    throw UsageError(
        "--data is about the texts of --text or --texts, or the rows of --input NAME=DATA.FIELD; there are "
        "none");
  if (options.has("units") && !kiln_result_units)
    fail("--units: this program's data are not normalised (normalise=True, or normalise_target=True)");
  if (texts && !kiln_text_rows)
    failTextless(call.entry());
  if (texts)
    rows.reset(kiln_text_rows(options, common, manifest, call));
  setInputs(call, options, manifest, [&](int input) { return rows && rows->fills(input); });
  if (writes)
    checkWritable(path); // now that it is known what is read
  std::optional<Trace> trace;
  if (options.has("profile"))
    trace.emplace(*program, options.text("profile"));
  int64_t began = profileClock();
  std::optional<Runs> runs;
  if (rows)
    runs.emplace(call, *rows);
  else
    call.run(common.seed, 0);
  std::vector<TensorView> results = runs ? runs->run(common.seed) : allResults(call);
  std::vector<std::vector<float>> inUnits;
  if (options.has("units"))
    kiln_result_units(options, common, manifest, results, inUnits);
  if (trace) {
    trace->did("run", began);
    trace->write();
  }
  JsonOutput json(common.json, common.jsonPath);
  std::unique_ptr<ClassNames> labels(!writes && kiln_result_labels ? kiln_result_labels(options, common, manifest)
                                                                   : nullptr);
  if (writes)
    writeResults(path, result, results, name, json);
  else
    printResults(results, options, labels.get(), json);
  return 0;
}

} // namespace kiln
