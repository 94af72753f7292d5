// Where a program's vocabulary comes from.
#include "runtime/cli/Words.h"

#include "runtime/cli/Stages.h"
#include "runtime/data/Sequences.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <cstdlib>

namespace kiln {

/// Whether the data's words are those of a tokenizer's file, or there are none: no data, or data that are numbers.
static bool isTokenized(const Manifest &manifest, const std::string &source) {
  const SourceSpec *spec = manifest.findSource(source);
  return source.empty() || (spec && (!hasWords(*spec) || spec->options.stringOr("tokens", "").ends_with(".json")));
}

Words::Words(const Options &options, const Common &common, const Manifest &manifest, const std::string &source) {
  if (common.image.tokenizer_size && isTokenized(manifest, source)) {
    readOwnTokenizer(common);
    return;
  }
  for (const auto &[key, text] : weightCodings(options, common, manifest))
    if (key.starts_with(vocabularyPrefix))
      saved_[key.substr(std::string_view(vocabularyPrefix).size())] =
          Vocabulary::deserialise(text, "the weights' " + key);
  prompt_ = saved(source, {"ids", "source"});
  answer_ = saved(source, {"ids", "target"});
  if (prompt_ && answer_)
    return;
  if (source.empty())
    return;
  const SourceSpec *spec = manifest.findSource(source);
  if (!spec)
    fail("the `generate` recipe names the data '%s', which the recipe does not have", source.c_str());
  std::map<std::string, std::string> overrides = overridesFor(manifest, options);
  // A tokenizer's file is enough: its data need not be there.
  if (std::string tokens = spec->options.stringOr("tokens", ""); tokens.ends_with(".json") && overrides.empty()) {
    SourceContext context;
    context.spec = spec;
    const char *folder = std::getenv("KILN_MODEL_DIR");
    context.folders = folder ? folder : "";
    tokenizer_ = openTokenizer(context, tokens, "ids");
    prompt_ = answer_ = &*tokenizer_;
    return;
  }
  if (!hasWords(*spec)) // numbers are read and written
    return;
  sources_.emplace(manifest, overrides, common.seed);
  std::map<std::string, const Vocabulary *> all;
  try {
    all = sources_->open(source).vocabularies();
  } catch (const Error &error) {
    throw Error(std::string("texts are read and written by the words of the recipe's data, or of weights that were "
                            "saved with them (--load): ") +
                error.what());
  }
  prompt_ = all.contains("ids") ? all["ids"] : all.contains("source") ? all["source"] : nullptr;
  answer_ = all.contains("ids") ? all["ids"] : all.contains("target") ? all["target"] : nullptr;
}

/// Of a program whose model came with one.
void Words::readOwnTokenizer(const Common &common) {
  std::string text(common.image.tokenizer, common.image.tokenizer_size);
  tokenizer_ = Vocabulary::subwords(Tokenizer::parse(std::move(text), "the program's own tokenizer"));
  prompt_ = answer_ = &*tokenizer_;
  std::vector<int32_t> *side = &lead_;
  for (const Tokenizer::Part &part : tokenizer_->tokenizer()->sequence(/*pair=*/false))
    if (part.kind == Tokenizer::Part::Kind::Token)
      side->push_back(part.token);
    else
      side = &trail_;
}

const Vocabulary *Words::saved(const std::string &source, std::initializer_list<const char *> fields) const {
  for (const char *field : fields)
    if (auto found = saved_.find(source + "." + field); found != saved_.end())
      return &found->second;
  return nullptr;
}

} // namespace kiln
