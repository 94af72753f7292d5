// skipgram(path, batch, window=5, negative=5, cbow=False, tokens="words", …): words and those around them, and others
// that are not.
#include "runtime/data/Rows.h"
#include "runtime/data/Sequences.h"
#include "runtime/files/File.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

namespace {

class SkipgramSource final : public Source {
public:
  SkipgramSource(const SourceContext &context);
  int64_t batches(Split split) const override {
    size_t centers = centers_[static_cast<size_t>(split)].size(), batch = static_cast<size_t>(batch_);
    return static_cast<int64_t>(split == Split::Train ? std::max<size_t>(1, centers / batch)
                                                      : (centers + batch - 1) / batch);
  }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;
  const Vocabulary *vocabulary(const std::string &) const override { return &vocabulary_; }
  std::map<std::string, const Vocabulary *> vocabularies() const override { return {{"center", &vocabulary_}}; }

private:
  void readLines(const std::string &path, const SourceContext &context, std::vector<std::string> &lines) const;
  void countWords();
  size_t lineBegin(size_t place) const;
  int32_t drawWord(const RandomStream &random, uint64_t element) const;

  int64_t batch_, window_, negative_;
  bool cbow_, shuffle_;
  uint32_t seed_, stream_;
  Vocabulary vocabulary_;
  TokenTexts tokens_;               // lines
  std::vector<int32_t> centers_[3]; // places of words that have neighbours
  std::vector<double> cumulative_;  // of count^0.75, by word
  std::vector<int32_t> centerBlock_, contextBlock_, negativeBlock_;
};

void SkipgramSource::readLines(const std::string &path, const SourceContext &context,
                               std::vector<std::string> &lines) const {
  std::string found = findData(path, "the text of data '" + spec_.name + "'", context.folders), text = readText(found);
  if (text.empty())
    fail("'%s' is empty; data '%s' needs text", found.c_str(), spec_.name.c_str());
  for (std::string_view line : linesOf(text))
    lines.emplace_back(line);
}

SkipgramSource::SkipgramSource(const SourceContext &context) : Source(*context.spec), seed_(context.seed) {
  const Json &options = spec_.options;
  batch_ = options.at("batch").integer(1, INT32_MAX);
  window_ = std::max<int64_t>(options.integerOr("window", 5), 1);
  negative_ = std::max<int64_t>(options.integerOr("negative", 5), 1);
  cbow_ = options.booleanOr("cbow", false);
  shuffle_ = options.booleanOr("shuffle", true);
  std::string stream = "skipgram:" + spec_.name;
  stream_ = namedStream(stream.data(), stream.size());
  std::vector<std::string> lines;
  readLines(context.override.empty() ? spec_.path : context.override, context, lines);
  vocabulary_ = chooseVocabulary(context, lines, "center");
  size_t parts[3] = {lines.size(), 0, 0}; // where each split's lines end
  for (Split split : {Split::Validation, Split::Test}) {
    for (const std::string &path : splitPaths(options, splitName(split)))
      readLines(path, context, lines);
    parts[static_cast<size_t>(split)] = lines.size();
  }
  tokens_ = encodeTexts(vocabulary_, lines);
  if (tokens_.ids.size() > INT32_MAX)
    fail("data '%s' has more than 2,147,483,647 tokens", spec_.name.c_str());
  // The end of the main file's lines is validated, and what comes before it tested, as of any text.
  double validation = splitFraction(options, "validation"), test = splitFraction(options, "test");
  size_t validationLines = static_cast<size_t>(validation * static_cast<double>(parts[0]));
  size_t testLines = static_cast<size_t>(test * static_cast<double>(parts[0]));
  if (validationLines + testLines >= parts[0])
    fail("data '%s': validation and test take all of the text", spec_.name.c_str());
  for (size_t line = 0; line < lines.size(); ++line) {
    size_t split = line < parts[0] - validationLines - testLines ? 0
                   : line < parts[0] - validationLines           ? 2
                   : line < parts[1]                             ? 1
                                                                 : 2;
    if (tokens_[line].size() < 2)
      continue; // a word alone has no neighbours
    for (size_t place = line ? tokens_.ends[line - 1] : 0; place < tokens_.ends[line]; ++place)
      centers_[split].push_back(static_cast<int32_t>(place));
  }
  if (centers_[0].empty())
    fail("data '%s': no line of its text has two words beside each other", spec_.name.c_str());
  countWords();
  size_t batch = static_cast<size_t>(batch_);
  centerBlock_.resize(batch);
  contextBlock_.resize(batch * static_cast<size_t>(cbow_ ? 2 * window_ : 1));
  negativeBlock_.resize(batch * static_cast<size_t>(negative_));
}

void SkipgramSource::countWords() {
  std::vector<double> counts(vocabulary_.size());
  for (int32_t place : centers_[0])
    ++counts[static_cast<size_t>(tokens_.ids[static_cast<size_t>(place)])];
  double sum = 0;
  for (double count : counts)
    cumulative_.push_back(sum += std::pow(count, 0.75));
}

int32_t SkipgramSource::drawWord(const RandomStream &random, uint64_t element) const {
  double at = static_cast<double>(random.below(element, 1ull << 53)) * 0x1p-53 * cumulative_.back();
  auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), at);
  return static_cast<int32_t>(std::min(found, cumulative_.end() - 1) - cumulative_.begin());
}

size_t SkipgramSource::lineBegin(size_t place) const {
  auto line = std::upper_bound(tokens_.ends.begin(), tokens_.ends.end(), place);
  return line == tokens_.ends.begin() ? 0 : line[-1];
}

void SkipgramSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  const std::vector<int32_t> &centers = centers_[static_cast<size_t>(split)];
  if (centers.empty())
    fail("data '%s' has no %s text; give its reader a %s=…", spec_.name.c_str(), splitName(split), splitName(split));
  bool train = split == Split::Train;
  RandomStream random(train ? seed_ : 0, stream_ + static_cast<uint32_t>(split), static_cast<uint32_t>(number),
                      static_cast<uint32_t>(number >> 32));
  size_t begin = static_cast<size_t>(number * batch_), batch = static_cast<size_t>(batch_);
  size_t count = train ? batch : std::min(batch, centers.size() - begin), draws = static_cast<size_t>(negative_) + 2;
  size_t width = contextBlock_.size() / batch;
  for (size_t i = 0; i < count; ++i) {
    uint64_t element = i * draws;
    size_t which = !train     ? begin + i
                   : shuffle_ ? static_cast<size_t>(random.below(element, centers.size()))
                              : (begin + i) % centers.size();
    size_t place = static_cast<size_t>(centers[which]), window = static_cast<size_t>(window_);
    size_t from = lineBegin(place), to = *std::upper_bound(tokens_.ends.begin(), tokens_.ends.end(), place);
    from = std::max(from, place - std::min(place, window));
    to = std::min(to, place + window + 1);
    centerBlock_[i] = tokens_.ids[place];
    int32_t *around = contextBlock_.data() + i * width;
    if (cbow_) {
      std::fill_n(around, width, vocabulary_.pad());
      for (size_t at = from; at < to; ++at)
        if (at != place)
          *around++ = tokens_.ids[at];
    } else {
      size_t other = from + static_cast<size_t>(random.below(element + 1, to - from - 1));
      *around = tokens_.ids[other < place ? other : other + 1];
    }
    for (size_t k = 0; k < static_cast<size_t>(negative_); ++k)
      negativeBlock_[i * static_cast<size_t>(negative_) + k] = drawWord(random, element + 2 + k);
  }
  int64_t shape[] = {static_cast<int64_t>(count), 0};
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    bool negatives = name == "negatives", center = name == "center";
    if (!negatives && !center && name != "context")
      fail("data '%s': a skipgram has the fields center, context and negatives, not '%s'", spec_.name.c_str(),
           name.c_str());
    shape[1] = negatives ? negative_ : static_cast<int64_t>(width);
    const std::vector<int32_t> &block = negatives ? negativeBlock_ : center ? centerBlock_ : contextBlock_;
    storeField(*this, f, fields, KILN_I32, block.data(), std::span(shape, center || (!negatives && !cbow_) ? 1 : 2));
  }
}

} // namespace

static std::unique_ptr<Source> openSkipgram(const SourceContext &context) {
  return std::make_unique<SkipgramSource>(context);
}

const Reader kiln_reader_skipgram{"skipgram", openSkipgram};

} // namespace kiln
