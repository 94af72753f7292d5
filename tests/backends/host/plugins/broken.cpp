// Plugins that are broken in one way each: compiled once for each value of BROKEN.
#include "backends/api/kiln_backend.h"

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
  SHORT_TABLE
};

namespace {

int32_t capabilities(const kiln_host *, const kiln_target *, kiln_capabilities *, kiln_error *) { return 0; }

int32_t claim(const kiln_host *, const kiln_kernel *, const kiln_target *, const kiln_answer *answer, kiln_error *) {
  if (BROKEN == THROWS_IN_CLAIM)
    throw 42;
  static const char reason[] = "this plugin takes nothing";
  answer->refuse(answer->self, KILN_NONE, {reason, sizeof reason - 1});
  return 0;
}

int32_t compile(const kiln_host *, const kiln_program *, const kiln_target *, const kiln_sink *, kiln_error *) {
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
  static kiln_backend backend = {sizeof(kiln_backend), offer->newest, {"broken", 6},
                                 {"a broken one", 12}, &api,          nullptr};
  if (BROKEN == REFUSES) {
    error->code = KILN_ERROR_VERSION;
    static const char message[] = "only on Sundays";
    for (unsigned i = 0; i < sizeof message; ++i)
      error->message[i] = message[i];
    return nullptr;
  }
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
