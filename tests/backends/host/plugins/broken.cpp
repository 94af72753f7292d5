// Plugins that are broken in one way each: compiled once for each value of BROKEN.
#include "backends/api/kiln_backend.h"

#include <cstring>
#include <thread>

enum {
  NO_SYMBOL = 1,
  REFUSES,
  LATER_VERSION,
  BAD_NAME,
  EMPTY,
  LACKS_CLAIM,
  THROWS,
  THROWS_IN_CLAIM,
  NAMED_CPU,
  SHORT_TABLE,
  CANNOT_COMPILE,
  NOT_CLOSED,
  TAKES_TWICE,
  NULL_WITHOUT_A_WORD,
  THROWS_IN_COMPILE,
  ANSWERS_LATER,
  BAD_ALIGNMENT,
  NO_RUN_SIDE,
  OPTIONS_NOWHERE,
  OPTION_NAME,
  OPTION_TWICE,
  OPTION_DEFAULT,
  OPTION_SIDES,
  OPTION_SIZE
};

namespace {

int32_t fails(kiln_error *error, const char *message) {
  error->code = KILN_ERROR_INTERNAL;
  std::strncpy(error->message, message, sizeof error->message - 1);
  return KILN_ERROR_INTERNAL;
}

int32_t capabilities(const kiln_host *, const kiln_target *, kiln_capabilities *out, kiln_error *) {
  out->alignment = BROKEN == BAD_ALIGNMENT ? 48 : 0;
  return 0;
}

int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *, const kiln_answer *answer,
              kiln_error *) {
  if (BROKEN == THROWS_IN_CLAIM)
    throw 42;
  kiln_terms terms = {};
  terms.size = sizeof terms;
  kiln_kernel_info info = {};
  info.size = sizeof info;
  host->reader->kernel(kernel, &info);
  if (BROKEN == NOT_CLOSED && info.op_count > 2) { // what is between the first and the last goes out and comes back
    const uint32_t ends[] = {0, info.op_count - 1};
    answer->take(answer->self, ends, 2, &terms);
    return 0;
  }
  if (BROKEN == TAKES_TWICE) {
    answer->take(answer->self, nullptr, 0, &terms);
    answer->take(answer->self, nullptr, 0, &terms);
    return 0;
  }
  if (BROKEN == ANSWERS_LATER) {
    std::thread([&] { answer->take(answer->self, nullptr, 0, &terms); }).join();
    return 0;
  }
  if (BROKEN == CANNOT_COMPILE || BROKEN == THROWS_IN_COMPILE || BROKEN == NO_RUN_SIDE || BROKEN == NOT_CLOSED) {
    answer->take(answer->self, nullptr, 0, &terms);
    return 0;
  }
  static const char reason[] = "this plugin takes nothing";
  answer->refuse(answer->self, KILN_NONE, {reason, sizeof reason - 1});
  return 0;
}

int32_t compile(const kiln_host *, const kiln_program *, const kiln_target *, const kiln_sink *sink,
                kiln_error *error) {
  sink->add(sink->self, KILN_BLOB_BYTES, {nullptr, 0}, "x", 1);
  if (BROKEN == THROWS_IN_COMPILE)
    throw 42;
  if (BROKEN == CANNOT_COMPILE) {
    error->kernel = 0;
    return fails(error, "out of registers");
  }
  return 0;
}

} // namespace

extern "C" const kiln_backend *
#if BROKEN == 1
another_symbol
#else
kiln_backend_plugin
#endif
    (const kiln_offer *offer, kiln_error *error) {
  static const kiln_compile_api api = {sizeof(kiln_compile_api), capabilities, BROKEN == LACKS_CLAIM ? nullptr : claim,
                                       compile};
  static kiln_option option = {};
  option.size = BROKEN == OPTION_SIZE ? 12 : sizeof option;
  option.sides = BROKEN == OPTION_SIDES ? 4 : KILN_OPTION_RUN;
  option.type = KILN_OPTION_INTEGER;
  option.name = BROKEN == OPTION_NAME ? kiln_string{"a b", 3} : kiln_string{"tile", 4};
  option.value = BROKEN == OPTION_DEFAULT ? kiln_string{"65", 2} : kiln_string{"16", 2};
  option.least = 1;
  option.most = 64;
  static const kiln_option *const options[] = {&option, &option};
  static kiln_backend backend = {
      sizeof(kiln_backend), offer->newest, {"broken", 6}, {"a broken one", 12}, &api, nullptr, nullptr, 0, 0, 0};
  if (BROKEN >= OPTIONS_NOWHERE) {
    backend.options = BROKEN == OPTIONS_NOWHERE ? nullptr : options;
    backend.option_count = BROKEN == OPTION_TWICE ? 2 : 1;
  }
  if (BROKEN == REFUSES) {
    error->code = KILN_ERROR_VERSION;
    static const char message[] = "only on Sundays";
    for (unsigned i = 0; i < sizeof message; ++i)
      error->message[i] = message[i];
    return nullptr;
  }
  if (BROKEN == NULL_WITHOUT_A_WORD)
    return nullptr;
  if (BROKEN == THROWS)
    throw 42;
  if (BROKEN == LATER_VERSION)
    backend.version = 1000;
  if (BROKEN == BAD_NAME)
    backend.name = {"no name!", 8};
  if (BROKEN == NAMED_CPU)
    backend.name = {"cpu", 3};
  if (BROKEN == EMPTY)
    backend.compile = nullptr;
  if (BROKEN == SHORT_TABLE) // as a plugin of a header that ended after the title
    backend.size = offsetof(kiln_backend, compile);
  return &backend;
}
