// Rows of arrays, and the archives that they come in.
#include "runtime/files/ArrayFile.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Zip.h"
#include "tests/runtime/Opened.h"

#include <cstring>
#include <zlib.h>

namespace kiln {
namespace {

std::string number(uint64_t value, int bytes) {
  return {reinterpret_cast<const char *>(&value), static_cast<size_t>(bytes)};
}

struct Member {
  std::string name, bytes;
  bool deflate = false, large = false; // large: its sizes in the field for what does not fit 32 bits
};

std::string deflated(const std::string &bytes) {
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef *>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// An archive as Python's zipfile writes one.
std::string zipOf(const std::vector<Member> &members, const std::string &comment = "") {
  std::string all, directory;
  for (const Member &member : members) {
    std::string packed = member.deflate ? deflated(member.bytes) : member.bytes;
    std::string sum = number(
        crc32(0, reinterpret_cast<const Bytef *>(member.bytes.data()), static_cast<uInt>(member.bytes.size())), 4);
    std::string method = number(member.deflate ? 8 : 0, 2), name = number(member.name.size(), 2);
    std::string sizes =
        member.large ? std::string(8, '\xff') : number(packed.size(), 4) + number(member.bytes.size(), 4);
    std::string extra =
        member.large ? number(1, 2) + number(16, 2) + number(member.bytes.size(), 8) + number(packed.size(), 8) : "";
    std::string common = method + number(0, 4) + sum + sizes + name + number(extra.size(), 2);
    directory += "PK\1\2" + number(45, 2) + number(45, 2) + number(0, 2) + common + number(0, 2) + number(0, 2) +
                 number(0, 2) + number(0, 4) + number(all.size(), 4) + member.name + extra;
    all += "PK\3\4" + number(45, 2) + number(0, 2) + common + member.name + extra + packed;
  }
  return all + directory + "PK\5\6" + number(0, 4) + number(members.size(), 2) + number(members.size(), 2) +
         number(directory.size(), 4) + number(all.size(), 4) + number(comment.size(), 2) + comment;
}

std::string npy(const std::string &descr, const std::string &shape, const std::string &data, bool fortran = false) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': (" + shape + "), }\n";
  return std::string("\x93NUMPY\x01\x00", 8) + number(header.size(), 2) + header + data;
}

template <typename T> std::string bytesOf(std::vector<T> values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

TEST(Zip, ReadsWhatIsStoredAndDeflated) {
  std::string text(5000, 'a');
  std::string zip =
      zipOf({{"x.npy", "abc"}, {"y.npy", text, true}, {"z", text, true, true}, {"none", ""}}, "a comment");
  std::vector<ZipMember> members = readZip(zip, "'x'");
  ASSERT_EQ(members.size(), 4u);
  std::string memory;
  EXPECT_EQ(unpackZip(members[0], "'x'", memory), "abc");
  EXPECT_EQ(unpackZip(members[1], "'x'", memory), text);
  EXPECT_EQ(unpackZip(members[2], "'x'", memory), text);
  EXPECT_EQ(unpackZip(members[3], "'x'", memory), "");
  for (size_t cut = 0; cut < zip.size(); ++cut)
    EXPECT_NE(errorOf([&] { readZip(zip.substr(0, cut), "'x'"); }), "") << cut;
}

TEST(Zip, RefusesWhatItDoesNotKnow) {
  std::string zip = zipOf({{"x.npy", "abc"}}), memory;
  size_t entry = zip.find("PK\1\2");
  auto changed = [&](size_t at, char value) {
    std::string other = zip;
    other[at] = value;
    return errorOf([&] {
      for (const ZipMember &member : readZip(other, "'z'"))
        unpackZip(member, "'z'", memory);
    });
  };
  EXPECT_THAT(changed(entry + 8, 1), HasSubstr("'z': 'x.npy' is encrypted"));
  EXPECT_THAT(changed(entry + 10, 12), HasSubstr("is packed in a way (12) that is not known"));
  EXPECT_THAT(changed(entry + 24, 9), HasSubstr("its 3 bytes would be 9"));
  EXPECT_THAT(changed(entry + 42, 7), HasSubstr("is not where the directory says"));
  EXPECT_THAT(changed(36, 'X'), HasSubstr("do not have the sum that was written"));
  EXPECT_THAT(errorOf([&] { readZip(zipOf({{"a", "1"}, {"a", "2"}}), "'z'"); }), HasSubstr("has 'a' twice"));
  EXPECT_THAT(errorOf([&] { readZip("hello", "'z'"); }), HasSubstr("is no ZIP archive"));
  // A deflated member that claims more than its bytes can hold, before anything is allocated.
  std::string bomb = zipOf({{"x", std::string(3000, 'a'), true}});
  bomb.replace(bomb.find("PK\1\2") + 24, 4, number(0x7fffffff, 4));
  EXPECT_THAT(errorOf([&] { readZip(bomb, "'z'"); }), HasSubstr("would be 2147483647"));
}

TEST(ArrayFile, HoldsThoseThatAreAskedFor) {
  TemporaryFolder folder;
  std::string x = npy("<f4", "2, 2", bytesOf<float>({1, 2, 3, 4})), y = npy("|u1", "2,", bytesOf<uint8_t>({7, 8}));
  std::string turned = npy("<f4", "2, 2", bytesOf<float>({1, 3, 2, 4}), true);
  for (const auto &[name, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"stored.npz", zipOf({{"y.npy", y}, {"x.npy", x}, {"z.npy", "damaged"}, {"readme", ""}})},
           {"deflated.npz", zipOf({{"x.npy", x, true}, {"y.npy", y, true}})},
           {"turned.npz", zipOf({{"x.npy", turned}, {"y.npy", y}})}}) {
    ArrayFile file(folder.write(name, bytes), {"x", "y"});
    const TensorView *found = file.find("x");
    ASSERT_TRUE(found) << name;
    float values[4];
    std::memcpy(values, found->data, sizeof(values));
    EXPECT_THAT(values, ElementsAre(1, 2, 3, 4)) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(found->data) % 4, 0u);
    EXPECT_EQ(file.find("y")->data[1], 8);
    EXPECT_EQ(file.find("z"), nullptr);
  }
  EXPECT_EQ(ArrayFile(folder.write("some.npz", zipOf({{"b.npy", x}, {"a.npy", y}})), {"x"}).has(), "'b', 'a'");
  EXPECT_THAT(errorOf([&] { ArrayFile(folder.write("x.npy", x), {"x", "y"}); }), HasSubstr("holds one array, and 2"));
  EXPECT_THAT(errorOf([&] { ArrayFile(folder.write("x.txt", x), {"x"}); }), HasSubstr(".npz, .npy or .safetensors"));
}

TEST(Arrays, RowsInTheirTypes) {
  TemporaryFolder folder;
  std::string main =
      folder.write("a.npz", zipOf({{"x.npy", npy("<f8", "5, 2", bytesOf<double>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))},
                                   {"y.npy", npy("<i8", "5,", bytesOf<int64_t>({5, 6, 7, 8, 9}))}}));
  folder.write("x.npy", npy("|u1", "1, 2", bytesOf<uint8_t>({20, 21})));
  folder.write("y.npy", npy("<i2", "1,", bytesOf<int16_t>({-3})));
  auto open = [&](const std::string &path, const std::string &more, kiln_dtype y = KILN_I32) {
    return Opened("arrays", path, R"({"batch":2,"shuffle":false)" + more + "}", {{"x", KILN_F32}, {"y", y}}, 0, "",
                  {Dim(2), Dim(2)});
  };
  // (Fields of one shape here: y is read by itself.)
  Opened rows("arrays", main, R"({"batch":2,"shuffle":false,"validation":[")" + folder.path() + R"("]})",
              {{"x", KILN_F32}}, 0, "", {Dim(2), Dim(2)});
  rows.load(Split::Train, 1);
  EXPECT_THAT(rows.values<float>(0), ElementsAre(4, 5, 6, 7));
  EXPECT_EQ(rows->batches(Split::Train), 2);
  rows.load(Split::Validation, 0);
  EXPECT_THAT(rows.values<float>(0), ElementsAre(20, 21));
  Opened labels("arrays", main, R"({"batch":3,"shuffle":false})", {{"y", KILN_I32}}, 0, "", {Dim(3)});
  labels.load(Split::Train, 0);
  EXPECT_THAT(labels.values<int32_t>(0), ElementsAre(5, 6, 7));
  EXPECT_THAT(errorOf([&] { open(main, ""); }), HasSubstr("'y' is i64[5]; i32[rows, 2] is expected"));
  EXPECT_THAT(errorOf([&] { open(folder.write("n.npz", zipOf({{"z.npy", "?"}})), ""); }),
              HasSubstr("it has none of 'x', 'y'; it has: 'z'"));
}

TEST(Arrays, Refusals) {
  TemporaryFolder folder;
  std::string x = npy("<f4", "3, 1", bytesOf<float>({1, 2, 3}));
  std::string parted =
      folder.write("p.npz", zipOf({{"x.npy", x}, {"y.npy", npy("<f4", "2, 1", bytesOf<float>({1, 2}))}}));
  Fields both = {{"x", KILN_F32}, {"y", KILN_F32}};
  EXPECT_THAT(errorOf([&] { Opened("arrays", parted, R"({"batch":1})", both, 0, "", {Dim(1), Dim(1)}); }),
              HasSubstr("'y' is f32[2, 1], another array has 3 rows"));
  Opened one("arrays", folder.write("o.npz", zipOf({{"x.npy", x}})), R"({"batch":1})", both, 0, "", {Dim(1), Dim(1)});
  EXPECT_THAT(errorOf([&] { one.load(Split::Train, 0); }), HasSubstr("has no array 'y'; it has: 'x'"));
  std::string large =
      folder.write("l.npz", zipOf({{"y.npy", npy("<i8", "2,", bytesOf<int64_t>({1, int64_t{1} << 40}))}}));
  Opened big("arrays", large, R"({"batch":1,"shuffle":false})", {{"y", KILN_I32}}, 0, "", {Dim(1)});
  EXPECT_THAT(errorOf([&] { big.load(Split::Train, 1); }), HasSubstr("'y', row 1: "));
  EXPECT_THAT(errorOf([&] {
                Opened("arrays", folder.write("e.npz", zipOf({{"x.npy", npy("<f4", "0, 1", "")}})), R"({"batch":1})",
                       {{"x", KILN_F32}}, 0, "", {Dim(1), Dim(1)});
              }),
              HasSubstr("has 0 rows to train on"));
}

} // namespace
} // namespace kiln
