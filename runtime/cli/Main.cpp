// main(): which command, which options, and how an error ends.
#include "runtime/backend/Cancel.h"
#include "runtime/backend/Guard.h"
#include "runtime/cli/Commands.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <span>
#include <unistd.h>

namespace kiln {

/// What the linker takes into programs alone whose models draw, or have turns; null elsewhere
/// (frontend/driver/ImageObject.cpp).
extern "C" int kiln_generate_command(const Options &options, Common &common) __attribute__((weak));
extern "C" int kiln_chat_command(const Options &options, Common &common) __attribute__((weak));

namespace {

using Command = int (*)(const Options &, Common &);

struct CommandEntry {
  CommandSpec spec;
  Command run;
};

const OptionSpec dataOption = {
    "data", "NAME=PATH",
    "read data NAME from PATH (a .safetensors file holds batches); NAME.validation, NAME.test: that part", true};
const OptionSpec loadOption = {"load", "[PREFIX=]W.safetensors",
                               "start from these weights, or a .json index of shards; PREFIX: a part of the model",
                               true};
const OptionSpec splitOption = {"split", "NAME", "train, validation, test, or all of the file (default: the recipe's)"};
/// What may stand beside --load.
const OptionSpec loadOptions[] = {
    {"partial", nullptr, "with --load, or the recipe's weights: take what fits, tell the rest"},
    {"strip", "PREFIX", "with --load: names begin without it", true},
    {"rename", "OLD=NEW", "with --load: other names; * stands for anything", true},
    {"ignore", "PATTERN", "with --load: tensors that are not looked at", true},
};
const OptionSpec tokensOption = {"tokens", "N", "how many tokens at most"};
/// What stands beside --tokens.
const OptionSpec drawOptions[] = {
    {"greedy", nullptr, "always the likeliest token"},
    {"temperature", "X", "below 1: more cautious; above: bolder"},
    {"top-k", "N", "draw among the N likeliest"},
    {"top-p", "X", "draw among the likeliest that hold the share X"},
    {"min-p", "X", "draw among those of at least X of the likeliest's share"},
    {"repetition-penalty", "X", "above 1: what is there already is less likely"},
    {"no-repeat-ngram", "N", "no N tokens stand twice in this order (0: any may)"},
    {"min-tokens", "N", "do not end before so many are drawn"},
    {"stop", "TEXT", "end where this text begins", true},
};
const OptionSpec timesOption = {"timestamps", nullptr, "of a recording: when what is said begins and ends"};
/// What stands beside --timestamps.
const OptionSpec hearingOptions[] = {
    {"fallback", nullptr, "of a recording: draw a window again, more freely, that repeats itself or is unlikely"},
    {"no-speech", "P", "of a recording: leave out a window that is unlikely, and no speech with more than P (0.6)"},
    {"previous", nullptr, "of a recording: a window's prompt is what was said before it"},
};
const OptionSpec profileOption = {"profile", "FILE", "write the kernels' times as a Chrome trace"};
const OptionSpec rowsOption = {
    "input", "[NAME=]FILE",
    "an input from a .npy, .safetensors or .wav file, a picture or a folder of them, or rows: NAME=DATA.FIELD", true};
const OptionSpec inputOption = {"input", "[NAME=]FILE", "an input from a .npy, .safetensors or .wav file", true};

Manifest manifestOf(const kiln_program_image &image) { return Manifest::parse({image.manifest, image.manifest_size}); }

int generateCommand(const Options &options, Common &common) {
  if (!kiln_generate_command)
    throw Error(manifestOf(common.image).undrawn());
  return kiln_generate_command(options, common);
}

int chatCommand(const Options &options, Common &common) {
  if (std::string why = kiln_generate_command ? "" : manifestOf(common.image).undrawn(); !why.empty())
    throw Error(why);
  if (!kiln_chat_command)
    fail("this program does not chat: its model's `generate` recipe has no `chat` block, which says how turns are "
         "written; `generate --prompt` takes a text as it stands");
  return kiln_chat_command(options, common);
}

CommandEntry trainEntry() {
  return {
      {"train",
       "[RECIPE]",
       "Trains the model by its recipe; by all of them, one after the other, where it has several.",
       {dataOption,
        {"steps", "N", "how many steps in all, of each recipe (default: the recipe's)"},
        {"out", "DIR", "keep checkpoints in DIR: last.safetensors, best.safetensors"},
        {"resume", nullptr, "go on from DIR's last checkpoint, bit for bit"},
        {"overwrite", nullptr, "begin anew in a DIR that holds a run"},
        loadOption,
        {"save", "W.safetensors", "write the weights at the end"},
        {"save-only", "PATTERN", "with --save: those of these names (an adapter, a head)", true},
        {"save-prefix", "PREFIX", "with --save: names begin with it in the file (base_model.model., as PEFT has it)"},
        {"log-dir", "DIR", "write TensorBoard event files"},
        {"profile", "FILE", "write the kernels' times of ten steps, from the second on, as a Chrome trace"}},
       "Ctrl-C finishes the step, saves, and exits with code 130; a second one gives the step up, or ends at once."},
      trainCommand};
}

const std::vector<CommandEntry> &commands() {
  static const std::vector<CommandEntry> list = {
      trainEntry(),
      {{"eval",
        "[RECIPE]",
        "Loss and metrics over a split of the recipe's data.",
        {dataOption, loadOption, splitOption}},
       evalCommand},
      {{"grad",
        "[RECIPE]",
        "The loss, and the gradient of every parameter, for given inputs.",
        {inputOption, loadOption, {"output", "G.safetensors", "where the gradients go"}}},
       gradCommand},
      {{"run",
        "[FUNCTION]",
        "Runs a function of the model (default: forward).",
        {rowsOption,
         loadOption,
         {"output", "[RESULT=]FILE", "where results, or one, go: .npy (one), .safetensors (default: printed)"},
         {"text", "TEXT", "a text for the function's ids, mask, types and lengths: a row for each", true},
         {"texts", "FILE", "many texts, one a line"},
         {"pair", "TEXT", "a second text behind each of them (a question's paragraph)", true},
         {"pairs", "FILE", "many of those, one a line"},
         {"tokenizer", "tokenizer.json", "what reads the texts (default: the recipe's)"},
         dataOption,
         {"lines", "RESULT=FILE", "print whole numbers with the file's lines of these numbers (from 0)", true},
         {"top", "K", "print of each row of scores the K highest, with the names of their classes"},
         {"units", "DATA.FIELD",
          "results in the units of a field that was normalised (data.target: normalise_target=True)"},
         {"training", nullptr, "in training mode (dropout, batch statistics)"},
         profileOption}},
       runCommand},
      {{"generate",
        "",
        "Draws a sequence.",
        {{"prompt", "TEXT", "what comes before"},
         {"prompts", "FILE", "many prompts, one a line"},
         inputOption,
         {"from", "TOKENS", "what the answer begins with, as a text or numbers (default: the recipe's)"},
         {"batch", "N", "so many of them at once (default: as many as the program was built for, --bound B=N)"},
         {"reference", "FILE", "with --prompts: the right answers, one a line; prints BLEU"},
         tokensOption,
         loadOption,
         dataOption,
         {"samples", "N", "so many sequences for the prompt (default: 1)"},
         timesOption,
         {"log-probabilities", nullptr, "with --json: the log of each token's probability"},
         {"beam", "N", "search with N beams"},
         {"length-penalty", "X", "beams: divide by length to this power"}}},
       generateCommand},
      {{"chat",
        "",
        "A conversation: a turn is a line of standard input, its answer is written as it is drawn.",
        {{"prompt", "TEXT", "one turn, in place of standard input"},
         {"system", "TEXT", "what the model is told before the first turn"},
         tokensOption,
         loadOption,
         dataOption}},
       chatCommand},
      {{"bench",
        "[FUNCTION]",
        "Measures a function's time (default: the training step).",
        {dataOption, loadOption, {"min-time", "SECONDS", "measure for so long (default: 1)"}, profileOption}},
       benchCommand},
      {{"info", "", "The model's parameters, functions and memory.", {}}, infoCommand},
  };
  return list;
}

CommandSpec withCommon(CommandSpec spec) {
  auto addBeside = [&](const OptionSpec &one, std::span<const OptionSpec> others) {
    if (std::any_of(spec.options.begin(), spec.options.end(),
                    [&](const OptionSpec &option) { return option.name == one.name; }))
      spec.options.insert(spec.options.end(), others.begin(), others.end());
  };
  addBeside(loadOption, loadOptions);
  addBeside(tokensOption, drawOptions);
  addBeside(timesOption, hearingOptions);
  spec.options.push_back({"seed", "N", "seed of everything random (default: the recipe's, else 0)"});
  spec.options.push_back({"threads", "N", "threads to compute on (default: one for each processor)"});
  spec.options.push_back(
      {"device", "N[,N]...",
       "which device (the CPU is 0); several: the first trains, the others have the other functions in turn"});
  spec.options.push_back(
      {"backend-option", "[BACKEND.]NAME=VALUE", "an option of a backend's (`info` lists them)", true});
  spec.options.push_back(
      {"step-timeout", "SECONDS", "end where a backend does not come back for so long (default: 3600; 0: never)"});
  spec.options.push_back({"json", "[FILE]", "JSON to standard output or a file"});
  return spec;
}

/// Can the program do it? (Asked for all the same, a command says what the model lacks for it.)
bool offers(const Manifest &manifest, std::string_view command) {
  if (command == "chat")
    return kiln_chat_command;
  if (command == "generate")
    return manifest.undrawn().empty();
  if (command != "train" && command != "eval" && command != "grad")
    return true;
  // Of any recipe. A model's own functions may be called so, too.
  std::string name = command == "train" ? "train_step" : std::string(command);
  bool one = manifest.train.isObject() && manifest.findEntry(name);
  return one || std::any_of(manifest.stages.begin(), manifest.stages.end(), [&](const StageSpec &stage) {
           return !stage.isSeries() && manifest.findEntry(name + stage.suffix);
         });
}

std::string overview(const std::string &program, const kiln_program_image &image) {
  Manifest manifest = manifestOf(image);
  std::string text = "Usage: " + program + " COMMAND [OPTION]...\n\nCommands:\n";
  for (const CommandEntry &entry : commands()) {
    if (!offers(manifest, entry.spec.name))
      continue;
    std::string name = std::string("  ") + entry.spec.name;
    name.resize(14, ' ');
    text += name + entry.spec.summary + "\n";
  }
  return text + "\n'" + program + " COMMAND --help' lists a command's options.\n";
}

/// What a program has no use for is refused with the reason, and not listed.
CommandSpec listed(CommandSpec spec) {
  if (spec.name == std::string_view("run"))
    std::erase_if(spec.options, [](const OptionSpec &option) { return !runHasUseFor(option.name); });
  return spec;
}

std::string baseName(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// The exit code of what went well, where all of its text could be written.
int flushed(int code = 0) {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw Error("cannot write to standard output: " + describeErrno(errno ? errno : EIO));
  return code;
}

int dispatch(const kiln_program_image &image, const std::vector<std::string> &arguments) {
  std::string program = arguments.empty() ? "program" : baseName(arguments[0]);
  if (arguments.size() < 2)
    throw UsageError("which command?\n\n" + overview(program, image));
  if (arguments[1] == "--help" || arguments[1] == "-h" || arguments[1] == "help") {
    std::fputs(overview(program, image).c_str(), stdout);
    return flushed();
  }
  NearestName nearest(arguments[1]);
  for (const CommandEntry &entry : commands()) {
    nearest.consider(entry.spec.name);
    if (arguments[1] != entry.spec.name)
      continue;
    CommandSpec spec = withCommon(entry.spec);
    Options options(spec, {arguments.begin() + 2, arguments.end()});
    if (options.has("help")) {
      std::fputs(usage(program, listed(spec)).c_str(), stdout);
      return flushed();
    }
    if (options.positional().size() > (spec.arguments[0] ? 1u : 0u))
      throw UsageError("unexpected argument '" + options.positional().back() + "'");
    Common common(options, image);
    Watchdog watchdog(options.integer("step-timeout", 3600, 0, INT32_MAX), "--step-timeout");
    int code = entry.run(options, common);
    return flushed(code);
  }
  throw UsageError("unknown command '" + arguments[1] + "'" + nearest.hint() + "; see '" + program + " --help'");
}

} // namespace

/// "0", or several: "0,1".
static std::vector<uint32_t> deviceList(const std::string &text) {
  std::vector<uint32_t> list;
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find(',', at), text.size());
    uint32_t number = 0;
    auto [stop, wrong] = std::from_chars(text.data() + at, text.data() + end, number);
    if (wrong != std::errc() || stop != text.data() + end || number > INT32_MAX)
      throw UsageError("'--device " + text + "': expected the number of a device, or several: 0,1");
    if (std::find(list.begin(), list.end(), number) != list.end())
      throw UsageError("'--device " + text + "': device " + std::to_string(number) + " stands twice");
    list.push_back(number);
    at = end + 1;
  }
  return list;
}

Common::Common(const Options &options, const kiln_program_image &image)
    : image(image), backendOptions(options.list("backend-option")), seedGiven(options.has("seed")),
      seed(static_cast<uint32_t>(options.integer("seed", 0, 0, UINT32_MAX))), json(options.has("json")),
      jsonPath(options.text("json")) {
  for (const std::string &text : backendOptions)
    if (text.find('=') == std::string::npos || text.front() == '=')
      throw UsageError("'--backend-option " + text + "': expected NAME=VALUE or BACKEND.NAME=VALUE");
  int64_t asked = options.integer("threads", availableProcessors(), INT64_MIN, INT64_MAX);
  threads = checkThreadCount(asked);
  devices = deviceList(options.has("device") ? options.text("device") : "0");
  protectFile("/proc/self/exe", "this program");
  if (const char *model = std::getenv("KILN_MODEL_FILE")) // set by `kiln COMMAND MODEL.kiln`
    protectFile(model, "the model");
}

/// A standard stream that was closed: writing to it is to fail, and no file that is opened takes its place.
static void occupyStandardStreams() {
  for (int stream : {0, 1, 2})
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF)
      (void)!open("/dev/null", stream == 1 ? O_RDONLY : O_RDWR); // the lowest number that is free: this one
}

int runProgram(const kiln_program_image &image, const std::vector<std::string> &arguments) {
  occupyStandardStreams();
  guardProcess("error: ", "Build the program for another backend (--backend cpu), or tell the author of this one");
  std::signal(SIGXFSZ, SIG_IGN); // a file that grows past `ulimit -f` is an error like any other, and leaves nothing
  try {
    return dispatch(image, arguments);
  } catch (const UsageError &error) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "error: out of memory\n");
  } catch (const BackendError &error) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s%s\n", error.what(), standingCheckpoint().c_str());
    if (cancelReason() == CancelReason::Interrupted)
      return 130;
  } catch (const std::exception &error) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "error: a backend threw an exception, which its interface forbids\n");
  }
  return 1;
}

} // namespace kiln
