// Windows of a recording: what is said in each, drawn again where it went wrong, beside what was said before.
#include "runtime/cli/Hearing.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

namespace {

/// As Whisper's authors have them, but that the ratio is of tokens, as in transformers, for which its documents say so.
constexpr double temperatures[] = {0.0, 0.2, 0.4, 0.6, 0.8, 1.0};
constexpr double mostCompression = 1.35, leastProbability = -1.0;
constexpr double mostCertain = 0.5; // what was drawn at this temperature is no prompt

/// How many times smaller zlib makes the tokens, each of as many bytes as the vocabulary wants: repetitions vanish.
double compressionOf(const std::vector<int32_t> &tokens, size_t vocabulary) {
  int width = static_cast<int>(std::log2(static_cast<double>(vocabulary)) / 8) + 1;
  std::string bytes;
  for (int32_t token : tokens)
    for (int i = 0; i < width; ++i)
      bytes += static_cast<char>(token >> (8 * i) & 0xff);
  return static_cast<double>(bytes.size()) / static_cast<double>(kiln_recordings->compressed(bytes));
}

} // namespace

/// The prompt of the next window: the newest tokens, of two times at a segment's end the first, as transformers has it.
std::vector<int32_t> Hearing::promptOf(const std::vector<Segment> &said) const {
  if (said.empty())
    return {};
  std::vector<int32_t> prompt;
  for (const Segment &segment : said) {
    bool twice = segment.all.size() > 2 && segment.all.end()[-2] >= draw_.times;
    prompt.insert(prompt.end(), segment.all.begin(), segment.all.end() - (twice ? 1 : 0));
  }
  auto most = static_cast<size_t>(std::max<int64_t>(1, draw_.longest / 2 - 1));
  if (prompt.size() > most)
    prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(most));
  prompt.insert(prompt.begin(), draw_.previous);
  return prompt;
}

/// One way of hearing a window, with the mean of its tokens' log probabilities, the end's among them.
Hearing::Window Hearing::measured(Generator &generator, int64_t limit, uint32_t number) {
  Window window;
  double sum = 0;
  window.tokens = generator.generate({}, generator.most(limit), number, [&](int32_t, double score) {
    sum += score;
    return true;
  });
  if (!measured_)
    return window;
  std::vector<int32_t> all = window.tokens;
  if (generator.end()) {
    all.push_back(generator.end()->token);
    sum += generator.end()->score;
  }
  window.probability = all.empty() ? 0 : sum / static_cast<double>(all.size());
  window.compression = all.empty() ? 0 : compressionOf(all, generator.vocabulary());
  window.noSpeech = generator.noSpeech();
  window.isSilent = window.noSpeech > silence_ && window.probability < leastProbability;
  return window;
}

/// Where a window repeats itself, or is unlikely, it is drawn again at the next temperature.
Hearing::Window Hearing::drawn(Generator &generator, int64_t limit, uint32_t number) {
  generator.score(measured_);
  if (!fallback_)
    return measured(generator, limit, number);
  Window window;
  for (double temperature : temperatures) {
    draw_.kind = temperature > 0 ? DrawSpec::Kind::Sample : kind_;
    draw_.temperature = temperature > 0 ? temperature : temperature_;
    window = measured(generator, limit, number);
    window.temperature = temperature;
    if (window.isSilent || (window.compression <= mostCompression && window.probability >= leastProbability))
      break;
  }
  draw_.kind = kind_;
  draw_.temperature = temperature_;
  return window;
}

std::string Hearing::jsonOf(const Segment &segment, const std::string &text, const Window &window) const {
  JsonLine line;
  line.add("start", segment.start).add("end", segment.end).add("text", text);
  if (fallback_)
    line.add("temperature", window.temperature);
  if (measured_)
    line.add("avg_logprob", window.probability).add("compression_ratio", window.compression);
  if (silence_ < 1)
    line.add("no_speech_prob", window.noSpeech);
  return line.str();
}

void Hearing::hear(const Words &words, Generator &generator, const Pieces &pieces, int64_t limit, uint32_t number,
                   JsonOutput &json) {
  std::string text, segments;
  std::vector<int32_t> tokens;
  std::vector<Segment> said;
  bool print = !json.ownsStandardOutput(), certain = true;
  for (double begin = 0; begin < pieces.seconds();) {
    pieces.setFrom(generator.prefillCall(), begin);
    draw_.before = previous_ && certain ? promptOf(said) : std::vector<int32_t>();
    Window window = drawn(generator, limit, number);
    certain = window.temperature < mostCertain;
    double heard = std::min(pieces.longest(), pieces.seconds() - begin);
    if (window.isSilent) {
      begin += heard;
      continue;
    }
    TimedAnswer answer = timedAnswer(window.tokens, draw_, begin, heard);
    tokens.insert(tokens.end(), window.tokens.begin(), window.tokens.end());
    for (const Segment &segment : answer.segments) {
      std::string own = decode(words.answer(), segment.tokens);
      text += (words.answer() || text.empty() ? "" : " ") + own;
      segments += (segments.empty() ? "" : ",") + jsonOf(segment, own, window);
      if (print && told_)
        std::printf("[%s --> %s] %s\n", timeText(segment.start).c_str(), timeText(segment.end).c_str(), own.c_str());
      else if (print)
        std::fputs(own.c_str(), stdout);
      std::fflush(stdout);
    }
    said.insert(said.end(), answer.segments.begin(), answer.segments.end());
    begin += answer.seconds;
  }
  if (print && !told_)
    std::printf("\n");
  JsonLine line;
  line.add("prompt", "").add("text", text).addRaw("tokens", listOf(tokens));
  if (told_ || fallback_ || silence_ < 1)
    line.addRaw("segments", "[" + segments + "]");
  json.line(line.str());
}

extern "C" void kiln_hear_command(Hearing &hearing, const Words &words, Generator &generator, const Pieces &pieces,
                                  int64_t limit, uint32_t number, JsonOutput &json) {
  hearing.hear(words, generator, pieces, limit, number, json);
}

} // namespace kiln
