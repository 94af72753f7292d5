// Recordings: each kind of sample has its value, and what lies, or ends too early, is told.
#include "runtime/files/Wav.h"
#include "runtime/support/Error.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cmath>

namespace kiln {
namespace {

using ::testing::ElementsAre;
using testing::errorOf;
using ::testing::HasSubstr;

template <typename Number> std::string packed(std::initializer_list<Number> numbers) {
  std::string bytes;
  for (Number number : numbers)
    bytes.append(reinterpret_cast<const char *>(&number), sizeof(number));
  return bytes;
}

std::string part(const std::string &name, const std::string &bytes) {
  return name + packed<uint32_t>({static_cast<uint32_t>(bytes.size())}) + bytes + std::string(bytes.size() % 2, '\0');
}

std::string format(uint16_t tag, uint16_t channels, uint16_t bits, uint32_t rate = 16000) {
  auto block = static_cast<uint16_t>(channels * (bits / 8));
  return packed<uint16_t>({tag, channels}) + packed<uint32_t>({rate, rate * block}) + packed<uint16_t>({block, bits});
}

std::string riff(const std::string &parts) {
  return "RIFF" + packed<uint32_t>({static_cast<uint32_t>(parts.size() + 4)}) + "WAVE" + parts;
}

std::string wav(const std::string &format, const std::string &data) {
  return riff(part("fmt ", format) + part("LIST", "odd") + part("data", data));
}

std::vector<float> samples(const std::string &bytes) { return parseWav(bytes, "'w'").samples; }
std::string error(const std::string &bytes) {
  return errorOf([&] { parseWav(bytes, "'w'"); });
}

TEST(Wav, EveryKindOfSample) {
  EXPECT_THAT(samples(wav(format(1, 1, 8), std::string("\x00\x80\xc0\xff", 4))), ElementsAre(-1, 0, 0.5F, 127 / 128.F));
  EXPECT_THAT(samples(wav(format(1, 1, 16), packed<int16_t>({-32768, 0, 16384}))), ElementsAre(-1, 0, 0.5F));
  EXPECT_THAT(samples(wav(format(1, 1, 24), std::string("\x00\x00\x80\x00\x00\x40\xff\xff\xff", 9))),
              ElementsAre(-1, 0.5F, -1 / 8388608.F));
  EXPECT_THAT(samples(wav(format(1, 1, 32), packed<int32_t>({INT32_MIN, 1 << 30}))), ElementsAre(-1, 0.5F));
  EXPECT_THAT(samples(wav(format(3, 1, 32), packed<float>({-0.25F, 1.5F}))), ElementsAre(-0.25F, 1.5F));
  EXPECT_THAT(samples(wav(format(3, 1, 64), packed<double>({0.125}))), ElementsAre(0.125F));
  // Two channels become their mean; what is behind the last whole block is nothing.
  EXPECT_THAT(samples(wav(format(1, 2, 16), packed<int16_t>({16384, 0, -32768, -32768, 7}))), ElementsAre(0.25F, -1));
  EXPECT_EQ(parseWav(wav(format(1, 1, 16, 44100), "ab"), "'w'").rate, 44100);
  std::string guid("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", 14);
  std::string wide = format(0xFFFE, 1, 16) + packed<uint16_t>({22, 16, 4, 0, 1}) + guid;
  EXPECT_THAT(samples(wav(wide, packed<int16_t>({16384}))), ElementsAre(0.5F));
}

TEST(Wav, AnUnknownLengthIsAllThatIsThere) {
  std::string bytes = riff(part("fmt ", format(1, 1, 16)) + "data\xff\xff\xff\xff" + packed<int16_t>({16384, -32768}));
  EXPECT_THAT(samples(bytes), ElementsAre(0.5F, -1));
}

// A tone stays that tone; what the new rate cannot have goes.
TEST(Wav, AnotherRateIsTheSameSound) {
  for (auto [from, to] :
       {std::pair<int64_t, int64_t>(44100, 16000), {48000, 16000}, {8000, 16000}, {11025, 16000}, {16000, 16000}}) {
    auto tone = [](double hertz, int64_t rate, int64_t i) {
      return std::sin(2 * M_PI * hertz * static_cast<double>(i) / static_cast<double>(rate) + 0.3);
    };
    Recording recording;
    recording.rate = from;
    for (int64_t i = 0; i < from / 4; ++i)
      recording.samples.push_back(static_cast<float>(tone(1000, from, i) + (from > 40000 ? tone(12000, from, i) : 0)));
    resample(recording, to, "'w'");
    EXPECT_EQ(recording.rate, to);
    ASSERT_EQ(recording.samples.size(), static_cast<size_t>((from / 4 * to + from - 1) / from));
    for (int64_t i = 60; i < static_cast<int64_t>(recording.samples.size()) - 60; ++i)
      ASSERT_NEAR(recording.samples[static_cast<size_t>(i)], tone(1000, to, i), 3e-3) << from << " " << i;
  }
  Recording slow{10, {1, 2, 3}};
  EXPECT_THAT(errorOf([&] { resample(slow, 16000, "'w'"); }), HasSubstr("are not converted to 16000"));
}

TEST(Wav, SaysWhatIsWrong) {
  std::string good = wav(format(1, 1, 16), "abcd");
  EXPECT_EQ(error(good.substr(0, good.size() - 1)),
            "'w' is cut short: its part 'data' takes 4 bytes, of which 3 are there");
  EXPECT_THAT(error(riff(part("fmt ", format(1, 1, 16)) + "data\xf0\xff\xff\x7f" + "ab")),
              HasSubstr("takes 2147483632 bytes"));
  EXPECT_THAT(error(riff(part("fmt ", format(1, 1, 16)))), HasSubstr("no part 'data'"));
  EXPECT_THAT(error(riff(part("data", "abcd") + part("fmt ", format(1, 1, 16)))), HasSubstr("before their format"));
  EXPECT_THAT(error(wav(format(1, 1, 16), "")), HasSubstr("holds no samples"));
  EXPECT_THAT(error(wav(format(1, 1, 16), "a")), HasSubstr("holds no samples"));
  EXPECT_THAT(error(wav(format(1, 0, 16), "ab")), HasSubstr("contradicts itself: 0 channels"));
  EXPECT_THAT(error(wav(format(1, 1, 16, 0), "ab")), HasSubstr("at 0 Hz"));
  EXPECT_THAT(error(wav(packed<uint16_t>({1, 2, 16000, 0, 0, 0, 9, 16}), "ab")), HasSubstr("in blocks of 9 bytes"));
  EXPECT_THAT(error(wav(format(1, 1, 12), "ab")), HasSubstr("whole numbers of 12 bits"));
  EXPECT_THAT(error(wav(format(3, 1, 16), "ab")), HasSubstr("floats of 16 bits"));
  EXPECT_THAT(error(wav(format(2, 1, 4), "ab")), HasSubstr("compressed (format 0x0002)"));
  EXPECT_THAT(error(wav(format(0xFFFE, 1, 16), "ab")), HasSubstr("an extension that is not known"));
  EXPECT_THAT(error(wav("abc", "ab")), HasSubstr("takes 3 bytes"));
  EXPECT_THAT(error(wav(format(3, 1, 32), packed<float>({0, NAN}))), HasSubstr("sample 1 is not a finite number"));
  EXPECT_THAT(error("RF64" + good.substr(4)), HasSubstr("is RF64, a kind of WAV file that is not read"));
  EXPECT_THAT(error("fLaC" + good.substr(4)), HasSubstr("is not a WAV file"));
  EXPECT_THAT(error(""), HasSubstr("is not a WAV file"));
}

} // namespace
} // namespace kiln
