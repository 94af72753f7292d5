// Decoders: what a token looks like in a text.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <cstdio>

namespace kiln {

namespace {

void replaceAll(std::string &text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// English as it is written: no space before what a tokenizer cuts off.
void cleanUp(std::string &text) {
  constexpr std::string_view pairs[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                           {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto &[from, to] : pairs)
    replaceAll(text, from, to);
}

/// Up to `start` of the character at the left of each token, or of the text where they are one by then.
TokenDecoder stripDecoder(const Json &json, bool fused, const std::string &what) {
  std::string content = json.at("content").string();
  int64_t most = json.integerOr("start", 0);
  if (json.integerOr("stop", 0) != 0 || content.empty())
    fail("%s: the decoder Strip is known for a text's beginning alone", what.c_str());
  return [=](std::string token, bool first) {
    for (int64_t i = 0; i < most && (first || !fused) && token.starts_with(content); ++i)
      token.erase(0, content.size());
    return token;
  };
}

} // namespace

char32_t letterOfByte(unsigned char byte) {
  auto itself = [](int c) { return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || c >= 0xae; };
  if (itself(byte))
    return byte;
  char32_t letter = 256;
  for (int c = 0; c < byte; ++c)
    letter += !itself(c);
  return letter;
}

int byteOfLetter(char32_t letter) {
  static const std::unordered_map<char32_t, int> bytes = [] {
    std::unordered_map<char32_t, int> all;
    for (int byte = 0; byte < 256; ++byte)
      all.emplace(letterOfByte(static_cast<unsigned char>(byte)), byte);
    return all;
  }();
  auto found = bytes.find(letter);
  return found == bytes.end() ? -1 : found->second;
}

TokenDecoder parseDecoder(const Json *json, const std::string &what) {
  if (!json)
    return [](const std::string &token, bool first) { return (first ? "" : " ") + token; };
  const std::string &type = json->at("type").string();
  if (type == "WordPiece") {
    std::string prefix = json->stringOr("prefix", "##");
    bool clean = json->booleanOr("cleanup", true);
    return [=](const std::string &token, bool first) {
      std::string text = first ? token : token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
      if (clean)
        cleanUp(text);
      return text;
    };
  }
  if (type == "ByteLevel")
    return [](const std::string &token, bool) {
      std::string bytes;
      for (size_t at = 0; at < token.size();) {
        int byte = byteOfLetter(nextCharacter(token, at));
        if (byte < 0)
          return token; // an added token, which stands for itself
        bytes += static_cast<char>(byte);
      }
      return bytes;
    };
  if (type == "Metaspace") {
    std::string space = json->stringOr("replacement", "\u2581");
    bool drop =
        json->stringOr("prepend_scheme", json->booleanOr("add_prefix_space", true) ? "always" : "never") != "never";
    return [=](std::string token, bool first) {
      replaceAll(token, space, first && drop ? "" : " ");
      return token;
    };
  }
  if (type == "Replace") {
    std::string from = json->at("pattern").at("String").string(), to = json->at("content").string();
    if (from.empty())
      fail("%s: the decoder replaces an empty text", what.c_str());
    return [=](std::string token, bool) {
      replaceAll(token, from, to);
      return token;
    };
  }
  if (type == "ByteFallback")
    return [](const std::string &token, bool) {
      unsigned byte = 0;
      bool is = token.size() == 6 && std::sscanf(token.c_str(), "<0x%2X>", &byte) == 1 && token.back() == '>';
      return is ? std::string(1, static_cast<char>(byte)) : token;
    };
  if (type == "Fuse")
    return [](const std::string &token, bool) { return token; };
  if (type == "Sequence") {
    std::vector<TokenDecoder> steps;
    bool fused = false; // what comes behind sees the whole text
    for (const Json &step : json->at("decoders").array()) {
      fused |= step.at("type").string() == "Fuse";
      steps.push_back(step.at("type").string() == "Strip" ? stripDecoder(step, fused, what)
                                                          : parseDecoder(&step, what));
    }
    return [steps](const std::string &token, bool first) {
      std::string text = token;
      for (const TokenDecoder &step : steps)
        text = step(text, first);
      return text;
    };
  }
  unknownPart(*json, "decoder", "WordPiece, ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip, Sequence", what);
}

} // namespace kiln
