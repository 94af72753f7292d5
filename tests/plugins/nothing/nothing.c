/* A backend that takes nothing, and wants every composite whole: what it costs to ask it. */
#include <kiln/kiln_backend.h>

#define NAME(literal) {literal, sizeof(literal) - 1}
static const kiln_string composites[] = {
    NAME("relu"),           NAME("silu"),          NAME("softplus"), NAME("gelu"),          NAME("softmax"),
    NAME("log_softmax"),    NAME("layer_norm"),    NAME("rms_norm"), NAME("cross_entropy"), NAME("attention"),
    NAME("random_uniform"), NAME("random_normal"), NAME("dropout"),  NAME("attention_grad")};

static int32_t capabilities(const kiln_host *host, const kiln_target *to, kiln_capabilities *out, kiln_error *error) {
  out->flags = KILN_BACKEND_HOST_MEMORY;
  if (out->size >= sizeof *out) {
    out->composites = composites;
    out->composite_count = sizeof composites / sizeof *composites;
  }
  return KILN_SUCCESS;
}

static int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target,
                     const kiln_answer *answer, kiln_error *error) {
  static const char why[] = "this backend takes nothing";
  answer->refuse(answer->self, KILN_NONE, (kiln_string){why, sizeof why - 1});
  return KILN_SUCCESS;
}

static int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                       const kiln_sink *sink, kiln_error *error) {
  return KILN_SUCCESS;
}

__attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                               kiln_error *error) {
  static const kiln_compile_api compiling = {sizeof compiling, capabilities, claim, compile};
  static const kiln_backend backend = {sizeof backend, 1, {"nothing", 7}, {"nothing 1.0", 11}, &compiling, 0};
  return &backend;
}
