// PROGRAM generate
#include "runtime/cli/Checkpoint.h"
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/generate/Bleu.h"
#include "runtime/generate/Generator.h"
#include "runtime/support/Error.h"

#include <optional>

namespace kiln {

namespace {

DrawSpec drawSpec(const Options &options, const Json &recipe) {
  DrawSpec spec = DrawSpec::parse(recipe.find("draw"));
  bool sampling = options.has("temperature") || options.has("top-k") || options.has("top-p");
  if (options.has("greedy") + options.has("beam") + sampling > 1)
    throw UsageError("--greedy, --beam and the sampling options exclude each other");
  if (options.has("greedy"))
    spec.kind = DrawSpec::Kind::Greedy;
  if (options.has("beam"))
    spec.kind = DrawSpec::Kind::Beam;
  if (sampling)
    spec.kind = DrawSpec::Kind::Sample;
  spec.temperature = options.number("temperature", spec.temperature);
  spec.topK = options.integer("top-k", spec.topK, 0, INT32_MAX);
  spec.topP = options.number("top-p", spec.topP);
  spec.beams = options.integer("beam", spec.beams, 1, 1024);
  spec.lengthPenalty = options.number("length-penalty", spec.lengthPenalty);
  if (options.has("length-penalty") && spec.kind != DrawSpec::Kind::Beam)
    throw UsageError("--length-penalty ranks beams, and this draws without: give --beam N too");
  spec.check();
  return spec;
}

/// The vocabularies that read prompts and write answers: from the weights' file, else from the recipe's data.
class Words {
public:
  Words(const Options &options, const Common &common, const Manifest &manifest) {
    std::string source = manifest.generate.stringOr("data", manifest.data.empty() ? "" : manifest.data[0].name);
    if (WeightChoice choice = weightChoice(options); !choice.empty()) {
      for (const WeightChoice::File &loaded : choice.files)
        if (!loaded.path.ends_with(".json")) { // an index has no metadata
          Safetensors file = Safetensors::open(loaded.path);
          saved_.merge(loadVocabularies(file.metadata(), file.what()));
        }
    } else if (common.image.weights) {
      std::string_view bytes(reinterpret_cast<const char *>(common.image.weights), common.image.weight_bytes);
      saved_ = loadVocabularies(Safetensors::parse(bytes, "the program's own weights").metadata(), "the program");
    }
    prompt_ = saved(source, {"ids", "source"});
    answer_ = saved(source, {"ids", "target"});
    if ((prompt_ && answer_) || source.empty())
      return;
    sources_.emplace(manifest, dataOverrides(options), common.seed);
    const SourceSpec *spec = manifest.findSource(source);
    if (!spec)
      fail("the `generate` recipe names the data '%s', which the recipe does not have", source.c_str());
    std::map<std::string, const Vocabulary *> all = sources_->open(source).vocabularies();
    prompt_ = all.contains("ids") ? all["ids"] : all.contains("source") ? all["source"] : nullptr;
    answer_ = all.contains("ids") ? all["ids"] : all.contains("target") ? all["target"] : nullptr;
  }

  /// Null where the model's data has no words: then numbers are read and written.
  const Vocabulary *prompt() const { return prompt_; }
  const Vocabulary *answer() const { return answer_; }

private:
  const Vocabulary *saved(const std::string &source, std::initializer_list<const char *> fields) const {
    for (const char *field : fields)
      if (auto found = saved_.find(source + "." + field); found != saved_.end())
        return &found->second;
    return nullptr;
  }

  std::map<std::string, Vocabulary> saved_;
  std::optional<Sources> sources_;
  const Vocabulary *prompt_ = nullptr, *answer_ = nullptr;
};

std::vector<int32_t> encodePrompt(const Vocabulary *words, const std::string &text, bool given) {
  std::vector<int32_t> ids;
  if (words) {
    ids = words->encode(text, "the prompt");
  } else {
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find_first_of(" ,", at), text.size());
      if (end > at) {
        std::string part = text.substr(at, end - at);
        char *stop = nullptr;
        long value = std::strtol(part.c_str(), &stop, 10);
        if (*stop || value < 0 || value > INT32_MAX)
          fail("the prompt: this model has no vocabulary, so token numbers are expected; found '%s'", part.c_str());
        ids.push_back(static_cast<int32_t>(value));
      }
      at = end + 1;
    }
  }
  if (!ids.empty() || given)
    return ids;
  // Without a prompt a text begins where a line does.
  if (words && words->kind() == Vocabulary::Kind::Characters)
    return {std::max(0, words->find("\n"))};
  if (words && words->tokenizer())
    return words->tokenizer()->start() >= 0 ? std::vector<int32_t>{words->tokenizer()->start()}
                                            : std::vector<int32_t>();
  return {words ? static_cast<int32_t>(EndToken) : 0};
}

std::vector<std::string> readLines(const std::string &path) {
  std::string text = readText(path);
  protectFile(path, "what is read");
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string decode(const Vocabulary *words, const std::vector<int32_t> &ids) {
  if (words)
    return words->decode(ids);
  std::string text;
  for (int32_t id : ids)
    text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

/// Many prompts, one a line; with references, BLEU at the end.
int manyPrompts(const Options &options, const Words &words, Generator &generator, int64_t limit, JsonOutput &json) {
  std::vector<std::string> prompts = readLines(options.text("prompts")), references, answers;
  if (options.has("reference")) {
    references = readLines(options.text("reference"));
    if (references.size() != prompts.size())
      fail("'%s' has %zu lines, '%s' has %zu", options.text("prompts").c_str(), prompts.size(),
           options.text("reference").c_str(), references.size());
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<int32_t> ids = generator.generate(encodePrompt(words.prompt(), prompts[i], true), limit,
                                                  static_cast<uint32_t>(i), [](int32_t) {});
    answers.push_back(decode(words.answer(), ids));
    json.line(JsonLine().add("prompt", prompts[i]).add("text", answers.back()).str());
    if (!json.ownsStandardOutput())
      std::printf("%s\n", answers.back().c_str());
  }
  if (!references.empty()) {
    double score = bleu(answers, references);
    json.line(JsonLine().add("bleu", score).str());
    std::fprintf(stderr, "BLEU %.2f over %zu sentences\n", score, answers.size());
  }
  return 0;
}

} // namespace

int generateCommand(const Options &options, Common &common) {
  if (options.has("prompt") && options.has("prompts"))
    throw UsageError("--prompt is one, --prompts a file of many: give one of them");
  if (options.has("reference") && !options.has("prompts"))
    throw UsageError("--reference answers the prompts of --prompts FILE: give that too");
  std::unique_ptr<Program> program = startProgram(options, common);
  const Manifest &manifest = program->manifest();
  if (!manifest.generate.isObject())
    fail("this program draws no sequences: the model has no `generate` recipe");
  DrawSpec draw = drawSpec(options, manifest.generate);
  Words words(options, common, manifest);
  Generator generator(*program, draw, common.seed, words.answer() ? words.answer()->size() : 0);
  int64_t limit = options.integer("tokens", draw.tokens > 0 ? draw.tokens : 200, 1, INT32_MAX);
  JsonOutput json(common.json, common.jsonPath);
  if (options.has("prompts"))
    return manyPrompts(options, words, generator, limit, json);
  std::string text = options.text("prompt");
  std::vector<int32_t> prompt = encodePrompt(words.prompt(), text, options.has("prompt"));
  if (prompt.empty())
    fail("the prompt is empty; give at least one token with --prompt");
  bool print = !json.ownsStandardOutput();
  // A text goes on where its prompt ends; an answer in another vocabulary stands alone.
  bool continues = words.prompt() == words.answer();
  if (print && continues)
    std::fputs(text.c_str(), stdout);
  bool first = !continues || text.empty();
  std::vector<int32_t> ids = generator.generate(prompt, limit, 0, [&](int32_t token) {
    if (!print)
      return;
    std::string piece =
        words.answer() ? words.answer()->piece(token, first) : (first ? "" : " ") + std::to_string(token);
    first = first && piece.empty();
    std::fputs(piece.c_str(), stdout);
    std::fflush(stdout);
  });
  if (print)
    std::fputc('\n', stdout);
  if (json) {
    std::string list;
    for (int32_t id : ids)
      list += (list.empty() ? "" : ",") + std::to_string(id);
    json.line(JsonLine()
                  .add("prompt", text)
                  .add("text", decode(words.answer(), ids))
                  .addRaw("tokens", "[" + list + "]")
                  .str());
  }
  return 0;
}

} // namespace kiln
