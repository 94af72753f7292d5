/* ABOUT
 *
 * Every function may be called from any thread, for one model by one thread at a time; models are independent of each
 * other. Nothing is written to the terminal but the log of a backend, and nothing is thrown: a function that fails
 * returns 0 or a null pointer, and kiln_library_last_error() says why.
 */
#ifndef KILN_LIBRARY_H
#define KILN_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The same in the header of every library that kiln writes: a program may use several. */
#ifndef KILN_TENSOR_MAX_RANK
#define KILN_TENSOR_MAX_RANK 8

enum {
  KILN_TENSOR_F32 = 0,
  KILN_TENSOR_F64 = 1,
  KILN_TENSOR_BF16 = 2,
  KILN_TENSOR_F16 = 3,
  KILN_TENSOR_I8 = 4,
  KILN_TENSOR_U8 = 5,
  KILN_TENSOR_I32 = 6,
  KILN_TENSOR_U32 = 7,
  KILN_TENSOR_I64 = 8,
  KILN_TENSOR_BOOL = 9 /* a byte, 0 or 1 */
};

/* A tensor of the caller's, contiguous and row-major. No function keeps a pointer into it. */
typedef struct kiln_tensor {
  int32_t dtype;                      /* KILN_TENSOR_F32, ... */
  uint32_t rank;                      /* 0 for a scalar */
  int64_t dims[KILN_TENSOR_MAX_RANK]; /* rank of them */
  void *data;                         /* as many elements as dims say; of an input only read */
} kiln_tensor;
#endif

/* A model with its parameters, its states and its threads. */
typedef struct kiln_library_model kiln_library_model;

/* Why the last call that failed on this thread did: a sentence, which stays as it is until the next failure on this
 * thread. "" where none has failed. */
const char *kiln_library_last_error(void);

/* A new model, with the initial values that the recipe names drawn from `seed`SEED, or the weights that were put into
 * the library. It computes on `threads` threads, the caller's being one; 0 stands for one for each processor; and on
 * the backend's device of the number `device`, of which 0 is the first. The same seed gives the same bits at any number
 * of threads. Null on failure. */
kiln_library_model *kiln_library_create(uint32_t threads, uint32_t device, uint32_t seed);

/* Ends the model's threads and frees its memory. A null pointer is fine. */
void kiln_library_destroy(kiln_library_model *model);

/* Takes parameters and persistent states from a safetensors file with PyTorch's names. From a checkpoint, of this
 * library or of the program, it takes the optimizer's states too, the number of the step and the seed, so that training
 * goes on with the bits of an unbroken run. 1; 0 on failure: all that does not fit is named, and nothing has changed.
 */
int kiln_library_load(kiln_library_model *model, const char *path);

/* Writes a checkpoint (with a step to train; else the weights), which `load` reads, and the program's --load and
 * --resume. The old file stays until the new one is complete. 1; 0 on failure, and where a tensor is not finite. */
int kiln_library_save(kiln_library_model *model, const char *path);

/* Runs a function. Inputs and outputs stand in the order of the list above. Inputs of another dtype are converted:
 * floats by rounding, integers where every value fits.
 * An output with data has to have the dtype and the shape of the result, which is copied there. One without data is
 * given them: `function` is then run nonetheless. There may be fewer outputs than results. 1; 0 on failure. Shapes are
 * checked before anything is computed. */
int kiln_library_run(kiln_library_model *model, const char *function, const kiln_tensor *inputs, size_t input_count,
                     kiln_tensor *outputs, size_t output_count);

/* One step of training by the recipe on a batch: the loss before the update goes to *loss unless that is null (it may
 * be NaN: this is no failure). After the first call it allocates nothing. 1; 0 on failure: shapes are checked before
 * anything is computed; after an index that is out of range, the parameters are those of a step with the nearest index
 * that is in range: load what was saved. */
int kiln_library_train_step(kiln_library_model *model, const kiln_tensor *inputs, size_t input_count, double *loss);

/* How many steps of training the model has behind it; 0 for a null pointer. */
int64_t kiln_library_step(const kiln_library_model *model);

/* Begins a new sequence: the states of a session (caches, recurrent states) take their initial values. 1; 0 on
 * failure. */
int kiln_library_reset(kiln_library_model *model);

#ifdef __cplusplus
}
#endif

#endif /* KILN_LIBRARY_H */
