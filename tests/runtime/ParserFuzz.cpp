// Every parser of files that a compiled program reads, and of its own manifest.
#include "runtime/data/Source.h"
#include "runtime/files/Csv.h"
#include "runtime/files/File.h"
#include "runtime/files/Idx.h"
#include "runtime/files/JsonRows.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Picture.h"
#include "runtime/files/Safetensors.h"
#include "runtime/files/Wav.h"
#include "runtime/files/Xml.h"
#include "runtime/files/Zip.h"
#include "runtime/program/Plan.h"
#include "runtime/support/Dim.h"
#include "runtime/text/Tokenizer.h"
#include "tests/fuzz/Harness.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kiln {
namespace {

void safetensors(std::string_view bytes) {
  Safetensors file = Safetensors::parse(bytes, "input", /*eightBits=*/true);
  uint8_t sum = 0;
  for (const TensorView &tensor : file.tensors()) // every byte that it says is there
    for (size_t i = 0; i < tensor.bytes; ++i)
      sum ^= tensor.data[i];
  std::vector<float> into(4);
  loadTensors(file, {{"w", KILN_F32, {2, 2}, into.data()}}, false);
  if (sum == 255) // or the reading above is dropped
    std::printf(" ");
}

std::string safetensorsSeed() {
  std::string header = R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                       R"("v":{"dtype":"I8","shape":[3],"data_offsets":[16,19]},)"
                       R"("e":{"dtype":"F8_E4M3","shape":[2,1],"data_offsets":[19,21]}})";
  uint64_t size = header.size();
  return std::string(reinterpret_cast<char *>(&size), 8) + header + std::string(21, '\1');
}

/// The header's length is what damage to the header makes wrong first.
void repairSafetensors(std::string &bytes) {
  size_t end = bytes.rfind('}');
  uint64_t size = end == std::string::npos || end < 8 ? 0 : end - 7;
  if (bytes.size() >= 8)
    std::memcpy(bytes.data(), &size, 8);
}

std::string npySeed() {
  std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  std::string npy("\x93NUMPY\x01\x00", 8);
  npy += static_cast<char>(dictionary.size());
  npy += '\0';
  return npy + dictionary + std::string(24, '\2');
}

/// Three samples of two channels, an odd part before them.
std::string wavSeed() {
  return std::string(
      "RIFF\x3e\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0\x80\x3e\0\0\0\xfa\0\0\4\0\x10\0LIST\3\0\0\0abc\0data\x0c\0\0\0"
      "abcdefghijkl",
      68);
}

/// A stored and a deflated member, "ab" and "aaaaaaaa".
std::string zipSeed() {
  return std::string(
      "PK\003\004\024\000\000\000\000\000\000\000!\000mH\203\236\002\000\000\000\002\000\000\000\001\000"
      "\000\000xabPK\003\004\024\000\000\000\010\000\000\000!\000F\200\204\277\005\000\000\000\010\000\000"
      "\000\001\000\000\000yKL\204\000\000PK\001\002\024\000\024\000\000\000\000\000\000\000!\000mH\203"
      "\236\002\000\000\000\002\000\000\000\001\000\000\000\000\000\000\000\000\000\000\000\200\001\000"
      "\000\000\000xPK\001\002\024\000\024\000\000\000\010\000\000\000!\000F\200\204\277\005\000\000\000"
      "\010\000\000\000\001\000\000\000\000\000\000\000\000\000\000\000\200\001!\000\000\000yPK\005\006"
      "\000\000\000\000\002\000\002\000^\000\000\000E\000\000\000\000\000",
      185);
}

void zip(std::string_view bytes) {
  std::string memory;
  for (const ZipMember &member : readZip(bytes, "input"))
    unpackZip(member, "input", memory);
}

/// What is read, written and read again is the same.
void dim(std::string_view bytes) {
  std::optional<Dim> dim = Dim::parse(bytes);
  if (!dim)
    return;
  std::optional<Dim> again = Dim::parse(dim->str());
  if (!again || *again != *dim || again->str() != dim->str())
    std::abort();
  dim->evaluate({{"T", 3}, {"B", 7}});
}

void manifest(std::string_view bytes) {
  Manifest manifest = Manifest::parse(bytes);
  Plan plan(manifest, nullptr, 0);
}

/// A reader over a file of these bytes, and its first batches.
void readerOf(const char *reader, const char *name, std::string_view bytes) {
  static const testing::TemporaryFolder folder;
  SourceSpec spec;
  spec.name = "data";
  spec.reader = reader;
  spec.path = folder.write(name, std::string(bytes));
  static const std::string pieces = folder.write(
      "pieces.json",
      R"({"pre_tokenizer":{"type":"Whitespace"},"model":{"type":"WordPiece","unk_token":"u",)"
      R"("max_input_chars_per_word":9,"vocab":{"u":0,"a":1,"</s>":2,"<extra_id_0>":3,"<extra_id_1>":4}}})");
  std::string tokens = reader == std::string_view("corrupted") ? R"("tokens":")" + pieces + "\"," : "";
  spec.options = Json::parse(
      "{" + tokens +
          R"("batch":1,"max_length":6,"text":0,"label":1,"columns":[1],"group":0,"context":1,)"
          R"("stride":1,"share":0.5,"next_sentence":true,"sentence_end":" . ","validation":0.2,"header":true,"objects":2,"size":2})",
      "options");
  std::vector<std::pair<const char *, kiln_dtype>> fields;
  if (reader == std::string_view("series"))
    fields = {{"past", KILN_F32}, {"future", KILN_F32}};
  else if (reader == std::string_view("boxes"))
    fields = {{"boxes", KILN_F32}, {"label", KILN_I32}, {"mask", KILN_BOOL}};
  else if (reader == std::string_view("corrupted"))
    fields = {
        {"ids", KILN_I32}, {"mask", KILN_BOOL}, {"lengths", KILN_I32}, {"target", KILN_I32}, {"answer", KILN_I32}};
  else
    fields = {{"ids", KILN_I32}, {"mask", KILN_BOOL}, {"types", KILN_I32}, {"lengths", KILN_I32}, {"next", KILN_I32}};
  for (const auto &[field, dtype] : fields)
    spec.fields.push_back({field, {dtype, {}}});
  SourceContext context;
  context.spec = &spec;
  std::unique_ptr<Source> source = openSource(context);
  std::vector<uint8_t> memory(1 << 12);
  std::vector<int64_t> shape;
  std::vector<FieldBuffer> buffers;
  for (const auto &[field, dtype] : fields)
    buffers.push_back({dtype, memory.data(), 1 << 8, &shape});
  for (int64_t batch = 0; batch < 2; ++batch)
    source->load(Split::Train, batch, buffers);
}

/// A tokenizer from its file, and a text with everything in it that the file speaks of.
void tokenizer(std::string_view bytes) {
  auto tokenizer = Tokenizer::parse(std::string(bytes), "input");
  std::vector<int32_t> ids;
  std::vector<TextRange> ranges;
  std::string text = "Ab ba\u00e9 [X] 12, don't \u4e2d\n b";
  tokenizer->encode(text, ids, &ranges);
  for (size_t i = 0; i < ids.size(); ++i)
    if (ranges[i].begin > ranges[i].end || ranges[i].end > text.size() || ids[i] < 0)
      std::abort();
  tokenizer->decode(ids);
}

const char *wordPieceSeed =
    R"({"added_tokens":[{"id":4,"content":"[X]","special":true,"lstrip":true,"single_word":false}],)"
    R"("normalizer":{"type":"Sequence","normalizers":[{"type":"BertNormalizer","lowercase":true},{"type":"NFC"}]},)"
    R"("pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"TemplateProcessing",)"
    R"("single":[{"SpecialToken":{"id":"[X]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],)"
    R"("pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],)"
    R"("special_tokens":{"[X]":{"ids":[4]}}},"decoder":{"type":"WordPiece","prefix":"##"},)"
    R"("model":{"type":"WordPiece","unk_token":"u","max_input_chars_per_word":9,"vocab":{"u":0,"a":1,"##b":2,"b":3}}})";

const char *bytesSeed =
    R"({"added_tokens":[{"id":9,"content":"[X]","normalized":true}],"normalizer":{"type":"Sequence","normalizers":[)"
    R"({"type":"Strip"},{"type":"Prepend","prepend":"a"},{"type":"Replace","pattern":{"String":"e"},"content":"b"}]},)"
    R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel","use_regex":true}]},)"
    R"("decoder":{"type":"ByteLevel"},"model":{"type":"BPE","unk_token":"u","fuse_unk":true,"byte_fallback":true,)"
    R"("vocab":{"u":0,"a":1,"b":2,"ab":3,"aba":4,"<0x41>":5},"merges":["a b",["ab","a"]]}})";
const char *unigramSeed =
    R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"CAAAAAAEAAABAQAAYgA="},)"
    R"("pre_tokenizer":{"type":"Metaspace","prepend_scheme":"first"},"decoder":{"type":"Sequence","decoders":[)"
    R"({"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},)"
    R"({"type":"Strip","content":" ","start":1}]},"model":{"type":"Unigram","unk_id":0,)"
    R"("vocab":[["u",0],["a",-1],["b",-1.5],["ab",-2],["\u2581",-3]]}})";

std::string pictureSeed(const char *name) {
  return readFile(KILN_SOURCE "/tests/fixtures/pictures/" + std::string(name));
}

void picture(std::string_view bytes) {
  PictureForm form = PictureForm::parse(Json::parse(R"({"size":4,"shortest":6})", "form"), "form");
  Picture whole = parsePicture(bytes, form.channels, "input");
  if (whole.height * whole.width < 1 << 16) // those that the seeds become
    resized(whole, 3, 5, Filter::Bicubic);
}

} // namespace

const std::vector<testing::Parser> &testing::parsers() {
  static const std::vector<Parser> all = {
      {safetensorsSeed(), safetensors, repairSafetensors},
      {wavSeed(), [](std::string_view bytes) { parseWav(bytes, "input"); }},
      {pictureSeed("small.png"), picture},
      {pictureSeed("small.jpg"), picture},
      {pictureSeed("small.gif"), picture},
      {pictureSeed("small.bmp"), picture},
      {npySeed(), [](std::string_view bytes) { parseNpy(bytes, "input"); }},
      {zipSeed(), zip},
      {std::string("\0\0\x08\x02\0\0\0\x02\0\0\0\x03"
                   "abcdef",
                   18),
       [](std::string_view bytes) { parseIdx(bytes, "input"); }},
      {"a,b\n1,\"x, \"\"y\"\"\nz\"\n2,w\n", [](std::string_view bytes) { parseCsv(bytes, "input", ',', 0, true); }},
      {"<?xml version=\"1.0\"?>\n<r><!-- c --><i id=\"1\" k='a'><p>x &amp; &#65;</p><q/></i></r>\n",
       [](std::string_view bytes) { parseXmlRows(bytes, "input"); }},
      {"{\"a\":1,\"b\":\"x\"}\n\n{\"b\":null,\"a\":true}\n",
       [](std::string_view bytes) { parseJsonRows(bytes, "input"); }},
      {"EU B-ORG\n\nrejects\tO\n", [](std::string_view bytes) { readerOf("conll", "t.conll", bytes); }},
      {R"({"data":[{"paragraphs":[{"context":"a bc","qas":[{"id":"q","question":"b?",)"
       R"("answers":[{"text":"bc","answer_start":2}]}]}]}]})",
       [](std::string_view bytes) { readerOf("squad", "t.json", bytes); }},
      {R"({"images":[{"id":1,"file_name":"a.png","width":4,"height":3},{"id":2,"file_name":"b.png","width":4,"height":3}],)"
       R"("categories":[{"id":1,"name":"x"}],"annotations":[{"image_id":1,"category_id":1,"bbox":[0,0.5,2,1]}]})",
       [](std::string_view bytes) { readerOf("boxes", "t.json", bytes); }},
      {"g\tx\na\t1\na\t2\na\t3.5\nb\t4\nb\t5\n", [](std::string_view bytes) { readerOf("series", "t.tsv", bytes); }},
      {"a b\n\nc d\ne\n", [](std::string_view bytes) { readerOf("masked", "t.txt", bytes); }},
      {"a b . a\na a u a a a a\n", [](std::string_view bytes) { readerOf("corrupted", "t.txt", bytes); }},
      {"a\t1\n\"b c\"\t0\n", [](std::string_view bytes) { readerOf("table", "t.tsv", bytes); }},
      {lineManifest("x.csv"), manifest},
      {std::string("\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\127\310\100\047\001\343\121\075\215"
                   "\027\000\000\000",
                   28),
       [](std::string_view bytes) { gunzip(bytes, "input", 1 << 20); }},
      {"max(T+1, 2*B)*floordiv(3*T-(B+2), 2)+-4*T", dim},
      {R"({"kind":"words","tokens":["<pad>","<unk>","<start>","<end>","a","b"]})",
       [](std::string_view bytes) { Vocabulary::deserialise(bytes, "input"); }},
      {"To be, or not to be: \xc3\xa9t\xc3\xa9",
       [](std::string_view bytes) { Vocabulary::characters(bytes, "input"); }},
      {wordPieceSeed, tokenizer},
      {bytesSeed, tokenizer},
      {unigramSeed, tokenizer},
  };
  return all;
}

} // namespace kiln
