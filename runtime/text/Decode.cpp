// Decoders: what a token looks like in a text.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"

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

} // namespace

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
  unknownPart(*json, "decoder", "WordPiece", what);
}

} // namespace kiln
