#include "runtime/files/Csv.h"
#include "runtime/files/EventLog.h"
#include "runtime/files/File.h"
#include "runtime/files/Idx.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <set>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::errorOf;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// A safetensors file from its header and data.
std::string packed(const std::string &header, size_t dataBytes) {
  uint64_t size = header.size();
  std::string bytes(reinterpret_cast<const char *>(&size), 8);
  return bytes + header + std::string(dataBytes, '\0');
}

std::string parseError(const std::string &bytes) {
  return errorOf([&] { Safetensors::parse(bytes, "'w'"); });
}

TEST(Safetensors, RoundTrip) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/w.safetensors";
  float values[6] = {1, 2, 3, 4, 5, 6};
  int64_t one = -5;
  std::vector<TensorView> views = {{"b", KILN_F32, {2, 3}, reinterpret_cast<uint8_t *>(values), 24},
                                   {"a \"quoted\"", KILN_I64, {}, reinterpret_cast<uint8_t *>(&one), 8},
                                   {"none", KILN_F16, {0, 4}, nullptr, 0}};
  writeSafetensors(path, views, {{"key", "line\nbreak"}});
  Safetensors file = Safetensors::open(path);
  ASSERT_EQ(file.tensors().size(), 3u);
  const TensorView *b = file.find("b");
  ASSERT_TRUE(b);
  EXPECT_THAT(b->shape, ElementsAre(2, 3));
  EXPECT_EQ(std::string(b->data, b->data + 24), std::string(views[0].data, views[0].data + 24));
  EXPECT_EQ(loadInteger(KILN_I64, file.find("a \"quoted\"")->data, 0), -5);
  EXPECT_EQ(file.metadata().at("key"), "line\nbreak");
}

TEST(Safetensors, ComplexNumbersArePairs) {
  std::string bytes = packed(R"({"z":{"dtype":"C64","shape":[3],"data_offsets":[0,24]}})", 24);
  float pair[2] = {1.5F, -2.0F};
  std::memcpy(bytes.data() + bytes.size() - 8, pair, 8);
  Safetensors file = Safetensors::parse(bytes, "'w'");
  ASSERT_TRUE(file.find("z"));
  EXPECT_EQ(file.find("z")->dtype, KILN_F32);
  EXPECT_THAT(file.find("z")->shape, ElementsAre(3, 2));
  EXPECT_EQ(std::memcmp(file.find("z")->data + 16, pair, 8), 0);
  EXPECT_THAT(parseError(packed(R"({"z":{"dtype":"C64","shape":[3],"data_offsets":[0,12]}})", 12)),
              HasSubstr("f32[3, 2] does not take the 12 bytes"));
}

TEST(Safetensors, LyingFiles) {
  std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(parseError(packed(good, 8)), "");
  EXPECT_THAT(parseError(""), HasSubstr("'w' is empty"));
  EXPECT_THAT(parseError("abc"), HasSubstr("too short"));
  EXPECT_THAT(parseError(packed(good, 8).substr(0, 20)), HasSubstr("truncated: its header is not complete"));
  EXPECT_THAT(parseError(packed(good, 7)), HasSubstr("outside the file's 7 bytes"));
  EXPECT_THAT(parseError(packed(good, 9)), HasSubstr("after the last tensor"));
  EXPECT_THAT(parseError(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10)), HasSubstr("longer than 100 MB"));
  EXPECT_THAT(parseError(packed("[1]", 0)), HasSubstr("does not start with '{'"));
  EXPECT_THAT(parseError(packed("{\"a\"", 0)), HasSubstr("not valid JSON"));
  EXPECT_THAT(parseError(packed("{\"a\xd6\"", 0)),
              EndsWith("byte 5: not valid JSON near '\"a'")); // no bytes of no text
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8)),
              HasSubstr("tensor 'a': f32[3] does not take the 8 bytes"));
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})", 8)),
              HasSubstr("the dtype 'F99' is not supported"));
  for (std::string dtype : {"F8_E4M3", "F8_E5M2"}) { // which whoever widens them asks for
    std::string file = packed(R"({"a":{"dtype":")" + dtype + R"(","shape":[2,3],"data_offsets":[0,6]}})", 6);
    EXPECT_THAT(parseError(file), HasSubstr("tensor 'a': floats of eight bits are read of a folder of Hugging Face"));
    Safetensors read = Safetensors::parse(file, "'w'", /*eightBits=*/true);
    EXPECT_EQ(read.tensors().at(0).bytes, 6u);
    EXPECT_NE(safetensorsHeader(read.tensors()).find(dtype), std::string::npos);
  }
  // 2^62 elements of 4 bytes: the product overflows.
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}})", 8)),
              HasSubstr("does not take"));
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0)),
              HasSubstr("does not take"));
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8)),
              HasSubstr("outside"));
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8)), HasSubstr("outside"));
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"F32","shape":[2]}})", 8)), HasSubstr("'data_offsets' is missing"));
  EXPECT_THAT(parseError(packed(R"({"a":3})", 0)), HasSubstr("expected an object"));
  EXPECT_THAT(parseError(packed(R"({"__metadata__":{"epoch":3}})", 0)),
              HasSubstr("__metadata__, from names to strings: 'epoch': expected a string"));
  EXPECT_THAT(parseError(packed(R"({"__metadata__":[1]})", 0)), HasSubstr("__metadata__, from names to strings"));
  EXPECT_TRUE(Safetensors::parse(packed(R"({"__metadata__":null})", 0), "x").metadata().empty());
}

TEST(Safetensors, OverlapsHolesAndRepeats) {
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                                6)),
              HasSubstr("'b' overlaps another"));
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                                R"("b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}})",
                                6)),
              HasSubstr("hole"));
  EXPECT_THAT(parseError(packed(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                                R"("a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                                4)),
              HasSubstr("the key 'a' stands twice"));
}

TEST(Safetensors, DeepNesting) {
  EXPECT_THAT(parseError(packed("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}", 0)),
              HasSubstr("levels deep"));
}

TEST(Safetensors, AllMismatchesAtOnce) {
  std::string bytes = packed(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("v":{"dtype":"I32","shape":[1],"data_offsets":[8,12]},)"
                             R"("extra":{"dtype":"U8","shape":[],"data_offsets":[12,13]}})",
                             13);
  Safetensors file = Safetensors::parse(bytes, "'w'");
  float w[3] = {7, 7, 7}, v[1] = {7}, x[1] = {7};
  std::string text = errorOf(
      [&] { loadTensors(file, {{"w", KILN_F32, {3}, w}, {"v", KILN_F32, {1}, v}, {"extr", KILN_F32, {1}, x}}, true); });
  EXPECT_THAT(text, HasSubstr("'w': expected f32[3], found f32[2]"));
  EXPECT_THAT(text, HasSubstr("'v': expected f32[1], found i32[1]"));
  EXPECT_THAT(text, HasSubstr("'extr' (f32[1]) is missing (did you mean 'extra'?)"));
  EXPECT_THAT(text, HasSubstr("'extra' (u8[]) is not in the model"));
  EXPECT_EQ(w[0], 7); // nothing was filled
}

TEST(Safetensors, WidthsConvertWhereValuesFit) {
  std::string bytes = packed(R"({"i":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}})", 16);
  Safetensors file = Safetensors::parse(bytes, "'w'");
  uint8_t *values = const_cast<uint8_t *>(file.find("i")->data);
  int32_t narrow[2] = {};
  int64_t small[2] = {-3, 2147483647}, large[2] = {0, 2147483648};
  std::memcpy(values, small, 16);
  loadTensors(file, {{"i", KILN_I32, {2}, narrow}}, true);
  EXPECT_THAT(narrow, ElementsAre(-3, 2147483647));
  std::memcpy(values, large, 16);
  EXPECT_THAT(errorOf([&] { loadTensors(file, {{"i", KILN_I32, {2}, narrow}}, true); }),
              HasSubstr("element 1 is 2147483648, which i32 cannot hold"));
}

TEST(Tensors, NumbersAreTheNearestThatAnIntegerHolds) {
  struct Case {
    kiln_dtype dtype;
    double number;
    int64_t expected;
  };
  for (const Case &one :
       {Case{KILN_I32, 1e30, INT32_MAX}, Case{KILN_I32, -INFINITY, INT32_MIN}, Case{KILN_I8, 200, 127},
        Case{KILN_U8, -1.5, 0}, Case{KILN_U32, 1e10, UINT32_MAX}, Case{KILN_I64, 0x1p63, INT64_MAX},
        Case{KILN_I64, -1e300, INT64_MIN}, Case{KILN_I64, NAN, 0}, Case{KILN_I32, -2.9, -2}}) {
    uint8_t bytes[8] = {};
    storeNumber(one.dtype, bytes, 0, one.number);
    EXPECT_EQ(loadInteger(one.dtype, bytes, 0), one.expected) << dtypeName(one.dtype) << " " << one.number;
  }
  double far[] = {1e300, -NAN, -1e300};
  EXPECT_EQ(loadInteger(KILN_F64, far, 0), INT64_MAX);
  EXPECT_EQ(loadInteger(KILN_F64, far, 1), 0);
  EXPECT_EQ(loadInteger(KILN_F64, far, 2), INT64_MIN);
}

TEST(Dtypes, HalfAndBfloat) {
  EXPECT_EQ(halfToFloat(0x3c00), 1.0f);
  EXPECT_EQ(halfToFloat(0x0001), 0x1p-24f);
  EXPECT_EQ(floatToHalf(65519.0f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(0x1p-25f), 0); // ties to even
  EXPECT_EQ(floatToBfloat(1.00390625f), 0x3f80);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float wide = halfToFloat(static_cast<uint16_t>(bits));
    if (!std::isnan(wide))
      ASSERT_EQ(floatToHalf(wide), bits);
    wide = bfloatToFloat(static_cast<uint16_t>(bits));
    if (!std::isnan(wide))
      ASSERT_EQ(floatToBfloat(wide), bits);
  }
}

TEST(Npy, RoundTripAndDamage) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/x.npy";
  Tensor tensor("x", KILN_I32, {2, 2});
  for (int i = 0; i < 4; ++i)
    tensor.as<int32_t>()[i] = i - 1;
  writeNpy(path, tensor.view());
  Tensor back = readNpy(path);
  EXPECT_THAT(back.shape, ElementsAre(2, 2));
  EXPECT_EQ(back.as<int32_t>()[0], -1);
  std::string bytes = readFile(path);
  EXPECT_EQ(bytes.size() % 64, 16u); // the data begins at a multiple of 64
  EXPECT_THAT(errorOf([&] { parseNpy(bytes.substr(0, bytes.size() - 1), "'x'"); }), HasSubstr("truncated"));
  EXPECT_THAT(errorOf([&] { parseNpy("hello, I am text", "'x'"); }), HasSubstr("not a .npy file"));
  std::string fortran = bytes;
  fortran.replace(fortran.find("False"), 5, "True ");
  Tensor turned = parseNpy(fortran, "'x'"); // -1 0 / 1 2, columns one behind the other
  EXPECT_EQ(turned.as<int32_t>()[1], 1);
  EXPECT_EQ(turned.as<int32_t>()[2], 0);
  fortran.replace(fortran.find("True"), 4, "Tree");
  EXPECT_THAT(errorOf([&] { parseNpy(fortran, "'x'"); }), HasSubstr("fortran_order is damaged"));
  std::string other = bytes;
  other.replace(other.find("<i4"), 3, "<f5");
  EXPECT_EQ(errorOf([&] { parseNpy(other, "'x'"); }),
            "'x': the NumPy dtype '<f5' is not supported; numbers that are little-endian are: array.astype('<f4')");
}

TEST(Npy, ComplexNumbersArePairs) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/z.npy";
  for (auto [ours, theirs] : {std::pair{KILN_F32, "<c8'"}, {KILN_F64, "<c16'"}}) {
    Tensor tensor("z", ours, {3, 2});
    std::fill_n(tensor.memory.data(), tensor.memory.size(), uint8_t{0});
    tensor.memory.data()[5 * dtypeSize(ours)] = 7;
    writeNpy(path, tensor.view());
    std::string bytes = readFile(path),
                header = "{'descr': '" + std::string(theirs) + ", 'fortran_order': False, 'shape': (3,), }";
    header.resize(128 - 10 - 1, ' ');
    EXPECT_THAT(bytes, HasSubstr(ours == KILN_F32 ? "'<f4'" : "'<f8'")); // what is written are numbers
    bytes.replace(10, 128 - 10, header + "\n");
    bytes[8] = 128 - 10;
    bytes[9] = 0;
    Tensor back = parseNpy(bytes, "'z'");
    EXPECT_EQ(back.dtype, ours);
    EXPECT_THAT(back.shape, ElementsAre(3, 2));
    EXPECT_EQ(back.memory.data()[5 * dtypeSize(ours)], 7);
  }

  // In Fortran order the two of a pair stay together.
  std::string header = "{'descr': '<c8', 'fortran_order': True, 'shape': (2, 3), }";
  header.resize(128 - 10 - 1, ' ');
  std::string bytes("\x93NUMPY\x01\x00\x76\x00", 10);
  bytes += header + "\n" + std::string(48, '\0');
  for (int i = 0; i < 6; ++i) { // column by column
    float pair[2] = {static_cast<float>(i), -static_cast<float>(i)};
    std::memcpy(bytes.data() + 128 + 8 * i, pair, 8);
  }
  Tensor back = parseNpy(bytes, "'z'");
  EXPECT_THAT(back.shape, ElementsAre(2, 3, 2));
  EXPECT_THAT(std::vector<float>(back.as<float>(), back.as<float>() + 12),
              ElementsAre(0, 0, 2, -2, 4, -4, 1, -1, 3, -3, 5, -5));
}

TEST(Gzip, UnpacksAndNoticesDamage) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/t.gz", text;
  for (int i = 0; i < 30000; ++i)
    text += std::to_string(i * 7919);
  gzFile gz = gzopen(path.c_str(), "wb");
  gzwrite(gz, text.data(), static_cast<unsigned>(text.size()));
  gzclose(gz);
  EXPECT_EQ(readFile(path), text);
  EXPECT_THAT(errorOf([&] { readFile(path, 1000); }), HasSubstr("more than 1000 bytes"));
  std::string bytes(MappedFile(path).text());
  folder.write("cut.gz", bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(errorOf([&] { readFile(folder.path() + "/cut.gz"); }), HasSubstr("it is truncated"));
  bytes[bytes.size() / 2] ^= 0x55;
  folder.write("bad.gz", bytes);
  EXPECT_THAT(errorOf([&] { readFile(folder.path() + "/bad.gz"); }), HasSubstr("cannot unpack"));
}

TEST(Idx, Damage) {
  std::string good("\0\0\x08\x02\0\0\0\x02\0\0\0\x03"
                   "abcdef",
                   18);
  EXPECT_THAT(parseIdx(good, "'i'").shape, ElementsAre(2, 3));
  EXPECT_THAT(errorOf([&] { parseIdx(good.substr(0, 17), "'i'"); }), HasSubstr("truncated"));
  EXPECT_THAT(errorOf([&] {
                parseIdx(
                    std::string("\0\0\x08\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20),
                    "'i'");
              }),
              HasSubstr("truncated or damaged"));
  EXPECT_THAT(errorOf([&] { parseIdx(std::string("\0\0\x0d\x01\0\0\0\x01", 8), "'i'"); }), HasSubstr("type 0x0d"));
  EXPECT_THAT(errorOf([&] { parseIdx("", "'i'"); }), HasSubstr("is empty"));
}

TEST(Csv, QuotesAndErrors) {
  CsvTable table = parseCsv("a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n2,w", "'t'", ',', 0, true);
  EXPECT_THAT(table.header, ElementsAre("a", "b"));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0][1], "x, \"y\"\nz");
  EXPECT_EQ(table.lines[1], 5u);
  EXPECT_THAT(errorOf([&] { parseCsv("1,2\n3,4\n5\n", "'t'", ',', 0, false); }),
              HasSubstr("'t', line 3: 1 columns, expected 2"));
  EXPECT_THAT(errorOf([&] { parseCsv("1,\"2\n3,4\n", "'t'", ',', 0, false); }), HasSubstr("line 1: a quote is opened"));
  EXPECT_THAT(errorOf([&] { parseCsv("header\n", "'t'", ',', 1, false); }), HasSubstr("has no rows"));
}

TEST(EventLog, ChecksumAndRecords) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  TemporaryFolder folder;
  {
    EventLog log(folder.path() + "/logs");
    log.scalar("loss", 7, 0.5);
  }
  std::string bytes = readFile(folder.onlyFileIn("logs"));
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_THAT(bytes.substr(12, length), HasSubstr("brain.Event:2"));
  std::string second = bytes.substr(12 + length + 4);
  std::memcpy(&length, second.data(), 8);
  ASSERT_EQ(second.size(), 12 + length + 4);
  uint32_t crc = 0;
  std::memcpy(&crc, second.data() + 12 + length, 4);
  uint32_t expected = crc32c(second.substr(12, length));
  EXPECT_EQ(crc, (expected >> 15 | expected << 17) + 0xa282ead8u);
  EXPECT_THAT(second, HasSubstr(std::string("\x0a\x04loss\x15\x00\x00\x00\x3f", 11)));
}

TEST(AtomicFile, NothingIsLeftWithoutCommit) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/x";
  folder.write("x", "old");
  {
    AtomicFile file(path);
    file.write("half of the n");
  }
  EXPECT_EQ(readFile(path), "old");
  EXPECT_EQ(folder.files(), 1u);
  AtomicFile file(path);
  file.write("new");
  file.commit();
  EXPECT_EQ(readFile(path), "new");
  EXPECT_EQ(folder.files(), 1u);
}

TEST(AtomicFile, WhatALinkPointsTo) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/x", link = folder.path() + "/link";
  folder.write("x", "old");
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  AtomicFile file(link);
  file.write("new");
  file.commit();
  EXPECT_EQ(readFile(path), "new");
  EXPECT_EQ(folder.files(), 2u);
}

TEST(AtomicFile, RemovesWhatKilledProcessesLeft) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/w";
  for (const char *name :
       {"w.1.partial", "w.99999999.partial", "w.12.partial", "w.x.partial", "ww.1.partial", "w.1.tmp"})
    folder.write(name, "left");
  int alive = open((path + ".12.partial").c_str(), O_RDONLY);
  ASSERT_EQ(flock(alive, LOCK_EX), 0); // as the process that writes it has it
  AtomicFile file(path);
  file.write("new");
  { // another one at the same time: the first is at work
    std::string temporary;
    int handle = openTemporary(path + "w", "partial", temporary);
    EXPECT_GE(handle, 0);
    close(handle);
    unlink(temporary.c_str());
  }
  file.commit();
  close(alive);
  std::set<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(folder.path()))
    names.insert(entry.path().filename().string());
  EXPECT_EQ(names, (std::set<std::string>{"w", "w.12.partial", "w.x.partial", "w.1.tmp"}));
}

TEST(AtomicFile, Refusals) {
  TemporaryFolder folder;
  EXPECT_THAT(errorOf([&] { AtomicFile file(folder.path() + "/none/x"); }), HasSubstr("no such file or folder"));
  EXPECT_THAT(errorOf([&] { AtomicFile file(folder.path()); }), HasSubstr("it is a folder"));
  // A full device, as the system offers one to try; behind a link, since what is half-written is removed.
  std::string link = folder.path() + "/partial";
  ASSERT_EQ(symlink("/dev/full", link.c_str()), 0);
  EXPECT_THAT(errorOf([&] {
                AtomicFile file(folder.path() + "/full", link);
                file.write(std::string(1 << 20, 'x'));
                file.commit();
              }),
              HasSubstr("no space is left on the device"));
  EXPECT_EQ(folder.files(), 0u);
}

TEST(FindData, SaysWhereItLooked) {
  std::string text = errorOf([] { findData("nowhere.txt", "the text", "/some/folder"); });
  EXPECT_THAT(text, HasSubstr("the text is not there: looked for '/some/folder/nowhere.txt', 'nowhere.txt'"));
}

} // namespace
} // namespace kiln
