// Every reader, tokenizers and recordings: for what is no program (the compiler, tests).
#include "runtime/data/Source.h"
#include "runtime/files/Wav.h"
#include "runtime/text/Tokenizer.h"

namespace kiln {

const Reader *const kiln_readers[] = {
    &kiln_reader_text,  &kiln_reader_csv,    &kiln_reader_arrays,    &kiln_reader_images,   &kiln_reader_folder,
    &kiln_reader_boxes, &kiln_reader_pairs,  &kiln_reader_table,     &kiln_reader_conll,    &kiln_reader_series,
    &kiln_reader_squad, &kiln_reader_masked, &kiln_reader_corrupted, &kiln_reader_skipgram, nullptr};
const TokenizerReader *const kiln_tokenizers = &kiln_tokenizer_reader;
const RecordingReader *const kiln_recordings = &kiln_recording_reader;

} // namespace kiln
