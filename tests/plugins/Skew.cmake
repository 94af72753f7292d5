# The header as it might have been before, and as it may be one day: version 1 with the last fields of some structs gone,
# and a version 2 with fields appended to every struct that may grow. A plugin built against either works with this host.
file(READ "${PROJECT_SOURCE_DIR}/backends/api/kiln_backend.h" header)

function(take_away text)
  replaced(older "${text}" "")
  set(older "${older}" PARENT_SCOPE)
endfunction()
set(older "${header}")
take_away("  uint32_t flags;                /* KILN_BACKEND_* */\n") # of a device
take_away("  uint64_t free_bytes;           /* of memory_bytes, at this moment; 0: not known */
  /* memory_count of them, valid until the next call of this thread; none: there is one memory. */
  const kiln_memory *const *memories;
  size_t memory_count;
")
take_away("  uint64_t device_bytes;              /* allocated on the device now, by this backend */\n")
take_away("
  /* Optional, each by itself: work that goes on while the host does. As write, read and copy, in order with executions
   * and with each other; but they return at once, with an event to wait for (null: all is done). The host's memory is
   * the backend's until then. */
  int32_t (*write_async)(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_event **event,
                         kiln_error *error);
  int32_t (*read_async)(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_event **event,
                        kiln_error *error);
  int32_t (*copy_async)(kiln_buffer *from, uint64_t from_offset, kiln_buffer *to, uint64_t to_offset, uint64_t bytes,
                        kiln_event **event, kiln_error *error);
  /* Has `notice` called when the event is over, at once where it is. The event is to be waited for all the same. */
  int32_t (*notify)(kiln_event *event, kiln_notice notice, void *context, kiln_error *error);
  /* What the device is given from now on begins when the signal has come. Returns at once. */
  int32_t (*after)(kiln_device *device, const kiln_signal *signal, kiln_error *error);

  /* Optional. As `allocate`, in the memory that is best for `use` (kiln_use; one that is not known is KILN_USE_ANY). A
   * wish and no promise: any buffer may stand for any argument, be written, read and copied. Where that memory is full
   * it may answer KILN_ERROR_OUT_OF_MEMORY: then `allocate` is asked. */
  int32_t (*allocate_for)(kiln_device *device, uint64_t bytes, uint32_t use, kiln_buffer **buffer, kiln_error *error);
")
take_away("  int32_t (*counters)(kiln_executable *executable, kiln_counters *out, kiln_error *error);\n")
take_away("  kiln_string artifact_symbol;  /* what linked object blobs define; empty where artifacts are bytes */\n")
take_away("  kiln_string cache_folder; /* where a backend may keep what saves time at the next start; empty: nowhere */
  /* With a device and the questions before it: the run side's options that were set, each once, in no order. */
  const kiln_setting *settings;
  size_t setting_count;
")

string(REGEX REPLACE "#define KILN_ABI_VERSION [0-9]+" "#define KILN_ABI_VERSION 2" newer "${header}")
foreach(struct error type attr op kernel_info node_info entry_info program_info argument option reader host target capabilities terms
        answer sink compile_api memory device_info execution counters run_api offer backend)
  string(REGEX REPLACE "\n} kiln_${struct};" "\n  uint64_t later[5];\n} kiln_${struct};" changed "${newer}")
  if(changed STREQUAL newer)
    message(FATAL_ERROR "Skew.cmake: kiln_backend.h no longer holds kiln_${struct}")
  endif()
  set(newer "${changed}")
endforeach()

foreach(age older newer)
  file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/${age}/kiln/kiln_backend.h" CONTENT "${${age}}" @ONLY)
  add_library(minimal_${age} MODULE minimal/minimal.c)
  target_include_directories(minimal_${age} BEFORE PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/${age}")
  set_target_properties(minimal_${age} PROPERTIES OUTPUT_NAME kiln_backend_minimal_${age} C_STANDARD 99
                        LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
  add_test(NAME conform_${age} COMMAND kiln conform $<TARGET_FILE:minimal_${age}>)
  set_tests_properties(conform_${age} PROPERTIES PASS_REGULAR_EXPRESSION "${minimal_result}")
endforeach()
