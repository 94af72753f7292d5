/* A user of libmnist.so in plain C. Arguments: a folder with images.raw (u8[25, 32, 1, 28, 28]), labels.raw (i32[25,
 * 32]) and foreign.txt; weights to begin with. Prints what it finds, for Library.cpp to compare. */
#include "mnist.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 25, BATCH = 32, PIXELS = 28 * 28 };

static uint8_t images[STEPS][BATCH][PIXELS]; /* the model takes f32: the library converts */
static int32_t labels[STEPS][BATCH];
static const char *folder;

static const char *path(const char *name) {
  static char text[4096];
  snprintf(text, sizeof text, "%s/%s", folder, name);
  return text;
}

static void readRaw(const char *name, void *data, size_t size) {
  FILE *file = fopen(path(name), "rb");
  if (!file || fread(data, 1, size, file) != size) {
    fprintf(stderr, "cannot read %s\n", path(name));
    exit(2);
  }
  fclose(file);
}

static void must(int done) {
  if (!done) {
    fprintf(stderr, "failed: %s\n", mnist_last_error());
    exit(2);
  }
}

static double trainStep(mnist_model *model, int i) {
  double loss = 0;
  kiln_tensor batch[2] = {{KILN_TENSOR_U8, 4, {BATCH, 1, 28, 28}, NULL}, {KILN_TENSOR_I32, 1, {BATCH}, NULL}};
  batch[0].data = images[i];
  batch[1].data = labels[i];
  must(mnist_train_step(model, batch, 2, &loss));
  return loss;
}

static void *trainHalf(void *argument) {
  static double losses[2][STEPS];
  static int calls = 0;
  double *mine = losses[__atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST)];
  int i;
  for (i = 10; i < STEPS; ++i)
    mine[i] = trainStep((mnist_model *)argument, i);
  return mine;
}

/* Each of these has to fail with a sentence. */
static void misuse(mnist_model *model) {
  float logits[BATCH][10];
  int64_t wide[BATCH];
  kiln_tensor image = {KILN_TENSOR_U8, 4, {BATCH, 1, 28, 28}, NULL}, out = {KILN_TENSOR_F32, 2, {BATCH, 9}, NULL};
  kiln_tensor batch[2], bad;
  int i;
  image.data = images[0];
  out.data = logits;
#define FAILS(call)                                                                                                    \
  do {                                                                                                                 \
    if (call)                                                                                                          \
      printf("wrongly done: %s\n", #call);                                                                             \
    else                                                                                                               \
      printf("error: %s\n", mnist_last_error());                                                                       \
  } while (0)
  FAILS(mnist_create(5000, 0, 0) != NULL);
  FAILS(mnist_create(1, 7, 0) != NULL);
  FAILS(mnist_load(NULL, "x"));
  FAILS(mnist_load(model, NULL));
  FAILS(mnist_load(model, "/there/is/nothing"));
  FAILS(mnist_load(model, path("foreign.txt")));
  FAILS(mnist_save(model, "/there/is/no/folder"));
  FAILS(mnist_run(model, "fourward", &image, 1, &out, 1));
  FAILS(mnist_run(model, NULL, &image, 1, &out, 1));
  FAILS(mnist_run(model, "train_step", &image, 1, &out, 1));
  FAILS(mnist_run(model, "forward", NULL, 0, &out, 1));
  FAILS(mnist_run(model, "forward", NULL, 1, &out, 1));
  FAILS(mnist_run(model, "forward", &image, 1, &out, 1));
  FAILS(mnist_run(model, "forward", &image, 1, &out, 2));
  bad = image;
  bad.dims[0] = 100000;
  FAILS(mnist_run(model, "forward", &bad, 1, NULL, 0));
  bad.dims[0] = -1;
  FAILS(mnist_run(model, "forward", &bad, 1, NULL, 0));
  bad = image;
  bad.dims[2] = 27;
  FAILS(mnist_run(model, "forward", &bad, 1, NULL, 0));
  bad = image;
  bad.rank = 9;
  FAILS(mnist_run(model, "forward", &bad, 1, NULL, 0));
  bad = image;
  bad.dtype = 77;
  FAILS(mnist_run(model, "forward", &bad, 1, NULL, 0));
  bad = image;
  bad.data = NULL;
  FAILS(mnist_run(model, "forward", &bad, 1, NULL, 0));
  batch[0] = batch[1] = image;
  FAILS(mnist_train_step(model, batch, 1, NULL));
  FAILS(mnist_train_step(model, batch, 2, NULL));
  for (i = 0; i < BATCH; ++i)
    wide[i] = i == 3 ? 5000000000 : i % 10;
  batch[1].dtype = KILN_TENSOR_I64;
  batch[1].rank = 1;
  batch[1].data = wide;
  FAILS(mnist_train_step(model, batch, 2, NULL));
  wide[3] = 10; /* no class of that number */
  FAILS(mnist_train_step(model, batch, 2, NULL));
  FAILS(mnist_reset(NULL));
}

int main(int count, char **arguments) {
  mnist_model *a, *b;
  float logits[2][BATCH][10];
  kiln_tensor image = {KILN_TENSOR_U8, 4, {BATCH, 1, 28, 28}, NULL}, out = {0, 0, {0}, NULL};
  pthread_t thread;
  double *one;
  void *other;
  int i, same = 1;
  if (count != 3)
    return 2;
  folder = arguments[1];
  readRaw("images.raw", images, sizeof images);
  readRaw("labels.raw", labels, sizeof labels);

  printf("before: '%s'\n", mnist_last_error());
  must((a = mnist_create(2, 0, 0)) != NULL);
  must(mnist_load(a, arguments[2]));
  for (i = 0; i < 10; ++i)
    printf("loss %.17g\n", trainStep(a, i));
  must(mnist_save(a, path("half.safetensors")));

  /* A second one goes on from the file, beside the first: with the same bits. */
  must((b = mnist_create(1, 0, 99)) != NULL);
  must(mnist_load(b, path("half.safetensors")));
  printf("step %d\n", (int)mnist_step(b));
  if (pthread_create(&thread, NULL, trainHalf, b) != 0)
    return 2;
  one = (double *)trainHalf(a);
  pthread_join(thread, &other);
  for (i = 10; i < STEPS; ++i) {
    printf("loss %.17g\n", one[i]);
    same &= one[i] == ((double *)other)[i];
  }
  image.data = images[0];
  must(mnist_run(a, "forward", &image, 1, &out, 1)); /* without data: what will there be? */
  printf("output %d [%d, %d] of %u\n", (int)out.dtype, (int)out.dims[0], (int)out.dims[1], (unsigned)out.rank);
  out.data = logits[0];
  must(mnist_run(a, "forward", &image, 1, &out, 1));
  out.data = logits[1];
  must(mnist_run(b, "forward", &image, 1, &out, 1));
  same &= memcmp(logits[0], logits[1], sizeof logits[0]) == 0;
  image.dims[0] = out.dims[0] = 3; /* a smaller batch gives the same rows */
  must(mnist_run(b, "forward", &image, 1, &out, 1));
  for (i = 0; i < 30; ++i)
    same &= logits[1][i / 10][i % 10] - logits[0][i / 10][i % 10] < 1e-5f;
  printf("same: %d\n", same);
  must(mnist_save(a, path("a.safetensors")));
  must(mnist_save(b, path("b.safetensors")));
  misuse(a);
  mnist_destroy(a);
  mnist_destroy(b);
  mnist_destroy(NULL);
  return 0;
}
