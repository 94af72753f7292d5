// masked(path, batch, max_length, share=0.15, next_sentence=False, sentence_end=None, tokens="words", …): text with
// words hidden, as BERT learns from.
#include "runtime/data/SequenceSource.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

namespace {

/// Windows over the whole text, one after the other.
void addWindows(const TokenTexts &tokens, const SequenceMaker &maker, size_t longest, SequenceRows &rows) {
  size_t room = longest - maker.specials(false);
  for (size_t begin = 0; begin < tokens.ids.size(); begin += room) {
    size_t size = std::min(room, tokens.ids.size() - begin);
    maker.make(std::span(tokens.ids).subspan(begin, size), nullptr, rows.ids, rows.types);
    rows.ends.push_back(rows.ids.size());
  }
}

/// Each line with the next one (0), or, every second one, with another (1).
void addPairs(const TokenTexts &tokens, const SequenceMaker &maker, uint64_t stream, SequenceRows &rows) {
  RandomStream random(0, static_cast<uint32_t>(stream), 0);
  size_t lines = tokens.ends.size();
  for (size_t i = 0; i + 1 < lines; ++i) {
    bool other = i % 2 == 1 && lines > 2;
    size_t second = i + 1;
    if (other) { // any but these two
      second = static_cast<size_t>(random.below(i, lines - 2));
      second += second >= i ? 2 : 0;
    }
    if (tokens[i].empty() || tokens[second].empty())
      continue;
    std::span<const int32_t> next = tokens[second];
    maker.make(tokens[i], &next, rows.ids, rows.types);
    rows.ends.push_back(rows.ids.size());
    rows.fields[0].values.push_back(other);
  }
}

} // namespace

static std::unique_ptr<Source> openMasked(const SourceContext &context) {
  const SourceSpec &spec = *context.spec;
  const Json &options = spec.options;
  std::vector<std::string> lines = readParagraphs(context.override.empty() ? spec.path : context.override, context);
  Vocabulary vocabulary = chooseVocabulary(context, lines);
  size_t longest = static_cast<size_t>(options.at("max_length").integer(1, INT32_MAX));
  bool pairs = options.booleanOr("next_sentence", false);
  SequenceMaker maker(vocabulary, longest, options.booleanOr("special_tokens", vocabulary.tokenizer() != nullptr),
                      pairs, spec.name);
  std::string stream = "pairs:" + spec.name;
  SequenceRows rows;
  rows.fields.push_back({"next_sentence", false, {}});
  auto add = [&](const std::vector<std::string> &texts) {
    size_t before = rows.size();
    TokenTexts tokens = encodeTexts(vocabulary, texts);
    if (pairs)
      addPairs(tokens, maker, namedStream(stream.data(), stream.size()), rows);
    else
      addWindows(tokens, maker, longest, rows);
    return static_cast<int64_t>(rows.size() - before);
  };
  add(lines);
  Rows::Options split(spec, context.seed);
  for (Split part : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(options, splitName(part)))
      (part == Split::Test ? split.testRows : split.validationRows) += add(readParagraphs(path, context));
  if (!pairs)
    rows.fields.clear();
  auto source = std::make_unique<SequenceSource>(context, std::move(vocabulary), std::move(rows), split);
  source->hideWords(options.numberOr("share", 0.15), context.seed);
  return source;
}

const Reader kiln_reader_masked{"masked", openMasked};

} // namespace kiln
