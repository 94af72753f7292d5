// Whisper's two other files as settings, and wav2vec 2.0's one.
#include "frontend/huggingface/Speech.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace kiln::huggingface {

namespace {

/// Names of languages in transformers, where folders that were trained further have one in place of its code.
constexpr std::string_view languages =
    " english=en chinese=zh german=de spanish=es russian=ru korean=ko french=fr japanese=ja portuguese=pt turkish=tr "
    "polish=pl catalan=ca dutch=nl arabic=ar swedish=sv italian=it indonesian=id hindi=hi finnish=fi vietnamese=vi "
    "hebrew=he ukrainian=uk greek=el malay=ms czech=cs romanian=ro danish=da hungarian=hu tamil=ta norwegian=no "
    "thai=th urdu=ur croatian=hr bulgarian=bg lithuanian=lt latin=la maori=mi malayalam=ml welsh=cy slovak=sk "
    "telugu=te persian=fa latvian=lv bengali=bn serbian=sr azerbaijani=az slovenian=sl kannada=kn estonian=et "
    "macedonian=mk breton=br basque=eu icelandic=is armenian=hy nepali=ne mongolian=mn bosnian=bs kazakh=kk "
    "albanian=sq swahili=sw galician=gl marathi=mr punjabi=pa sinhala=si khmer=km shona=sn yoruba=yo somali=so "
    "afrikaans=af occitan=oc georgian=ka belarusian=be tajik=tg sindhi=sd gujarati=gu amharic=am yiddish=yi lao=lo "
    "uzbek=uz faroese=fo haitian_creole=ht pashto=ps turkmen=tk nynorsk=nn maltese=mt sanskrit=sa luxembourgish=lb "
    "myanmar=my tibetan=bo tagalog=tl malagasy=mg assamese=as tatar=tt hawaiian=haw lingala=ln hausa=ha bashkir=ba "
    "javanese=jw sundanese=su cantonese=yue burmese=my valencian=ca flemish=nl haitian=ht letzeburgesch=lb pushto=ps "
    "panjabi=pa moldavian=ro moldovan=ro sinhalese=si castilian=es mandarin=zh ";

std::string codeOf(std::string language) {
  for (char &c : language)
    c = c == ' ' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  std::string name = ' ' + language + '=';
  size_t at = language.find('=') == std::string::npos ? languages.find(name) : std::string_view::npos;
  if (at == std::string_view::npos)
    return language;
  at += name.size();
  return std::string(languages.substr(at, languages.find(' ', at) - at));
}

int64_t tokenOf(const Json &value) { return value.integer(0, INT32_MAX); }

/// The number that a table of the file has under a name.
int64_t tokenIn(const Json &table, const std::string &name, const char *what) {
  if (const Json *found = table.find(name))
    return tokenOf(*found);
  fail("%s %s is not among those of %s", what, jsonQuote(name).c_str(), table.key().c_str());
}

/// In a prompt: the language, which is found by listening.
constexpr int64_t heard = -1;

/// The languages' tokens, the first and how many: they are neighbours. Throws Error where they are not.
std::pair<int64_t, int64_t> languagesOf(const Json &table) {
  int64_t least = INT32_MAX, most = 0;
  for (const Json &token : table.object()) {
    least = std::min(least, tokenOf(token));
    most = std::max(most, tokenOf(token));
  }
  auto count = static_cast<int64_t>(table.object().size());
  if (most - least + 1 != count)
    fail("lang_to_id does not hold neighbouring tokens, of which the language that is heard would be found; name one: "
         "\"language\": \"en\"");
  return {least, count};
}

/// Pairs of a place behind the start, and the token there; null: the language.
void addForced(const Json &forced, bool several, std::vector<int64_t> &prompt) {
  int64_t place = 0;
  for (const Json &pair : forced.array()) {
    if (pair.array().size() != 2 || pair.array()[0].integer() != ++place)
      fail("forced_decoder_ids holds pairs of a place, from 1 on, and a token");
    if (!pair.array()[1].isNull())
      prompt.push_back(tokenOf(pair.array()[1]));
    else if (several && place == 1)
      prompt.push_back(heard);
  }
}

std::vector<int64_t> promptOf(const Json &generation, const Json &config) {
  const Json *start = generation.find("decoder_start_token_id"), *forced = generation.find("forced_decoder_ids");
  if (!start)
    start = config.find("decoder_start_token_id");
  if (!forced)
    forced = config.find("forced_decoder_ids");
  const Json *languages = generation.find("lang_to_id"), *tasks = generation.find("task_to_id");
  const Json *language = generation.find("language"), *task = generation.find("task");
  std::vector<int64_t> prompt = {start ? tokenOf(*start) : 50258};
  if (forced && !language && !task)
    addForced(*forced, languages, prompt);
  else if (languages && language)
    prompt.push_back(
        tokenIn(*languages,
                language->string().starts_with("<|") ? language->string() : "<|" + codeOf(language->string()) + "|>",
                "the language"));
  if (prompt.size() == 1 && languages)
    prompt.push_back(heard);
  if (tasks && languages && (task || language))
    prompt.push_back(tokenIn(*tasks, task ? task->string() : "transcribe", "the task"));
  if (const Json *none = generation.find("no_timestamps_token_id"); none && prompt.back() != tokenOf(*none))
    prompt.push_back(tokenOf(*none));
  return prompt;
}

} // namespace

void readSpectrogram(const Json &preprocessor, Settings &settings) {
  for (const char *key : {"feature_size", "sampling_rate", "chunk_length", "n_fft", "hop_length"})
    if (const Json *value = preprocessor.find(key))
      settings.set(key, std::to_string(value->integer(1, 1 << 24)));
  if (preprocessor.numberOr("dither", 0.0) != 0)
    fail("'dither' is not 0: noise that is added to what is heard is not known");
}

void readSamples(const Json &preprocessor, Settings &settings) {
  if (const Json *rate = preprocessor.find("sampling_rate"))
    settings.set("sampling_rate", std::to_string(rate->integer(1, 1 << 24)));
  if (const Json *level = preprocessor.find("do_normalize"))
    settings.set("do_normalize", level->boolean() ? "True" : "False");
}

void readAnswer(const Json &generation, Settings &settings) {
  for (const char *key : {"suppress_tokens", "begin_suppress_tokens"}) {
    const Json *value = generation.find(key);
    for (const Json &token : value ? value->array() : std::vector<Json>())
      tokenOf(token);
    settings.set(key, value ? kilnText(*value, "generation_config.json") : "None");
  }
  if (const Json *none = generation.find("no_timestamps_token_id"); none && !none->isNull())
    settings.set("first_timestamp", std::to_string(tokenOf(*none) + 1));
  if (const Json *most = generation.find("max_initial_timestamp_index"); most && !most->isNull())
    settings.set("max_initial_timestamp_index", std::to_string(tokenOf(*most)));
  // What was said before stands behind <|startofprev|>, which transformers takes for the last but one of these.
  const Json *previous = generation.find("prev_sot_token_id"), *never = generation.find("suppress_tokens");
  if (previous && !previous->isNull())
    settings.set("prev_sot_token_id", std::to_string(tokenOf(*previous)));
  else if (never && never->isArray() && never->array().size() >= 2)
    settings.set("prev_sot_token_id", std::to_string(tokenOf(never->array().end()[-2])));
  std::string text;
  for (int64_t token : promptOf(generation, settings.config())) {
    text += (text.empty() ? "[" : ", ") + (token == heard ? "None" : std::to_string(token));
    if (token != heard)
      continue;
    auto [first, count] = languagesOf(generation.at("lang_to_id"));
    settings.set("first_language", std::to_string(first));
    settings.set("languages", std::to_string(count));
  }
  settings.set("decoder_prompt", text + "]");
}

} // namespace kiln::huggingface
