# cmake --install build --prefix P: the programs, what `kiln build` links (found from where kiln lies), the backends that
# come with Kiln, and all that an author of a backend needs: find_package(kiln_backend).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Nothing is stripped of the folders where LLVM's shared libraries lie.
install(TARGETS kiln kiln-opt RUNTIME DESTINATION bin)
install(TARGETS kiln_program ARCHIVE DESTINATION lib)
foreach(backend cpu vulkan reference)
  if(TARGET kiln_backend_${backend})
    install(TARGETS kiln_backend_${backend} LIBRARY DESTINATION lib/kiln/backends)
  endif()
  if(TARGET kiln_${backend}_run)
    install(TARGETS kiln_${backend}_run ARCHIVE DESTINATION lib)
  endif()
endforeach()
# What `./dev cross` has made, if it has.
install(DIRECTORY "${PROJECT_BINARY_DIR}/lib/kiln/targets" DESTINATION lib/kiln OPTIONAL USE_SOURCE_PERMISSIONS)
install(FILES LICENSE DESTINATION share/doc/kiln)
install(FILES docs/ops.md docs/fusion.md docs/write-a-backend.md docs/grow-a-backend.md docs/backends.md docs/conformance.md DESTINATION share/doc/kiln)

install(FILES backends/api/kiln_backend.h backends/api/kiln_codes.h backends/api/kiln_text.h backends/api/kiln_tree.h DESTINATION include/kiln)
install(FILES "${PROJECT_BINARY_DIR}/backends/sdk/Ops.inc" backends/sdk/Ops.h backends/sdk/Graph.h backends/sdk/Emitter.h
              backends/sdk/Language.h backends/sdk/Phases.h DESTINATION include/kiln/sdk)
install(FILES backends/sdk/forms/Forms.h backends/sdk/forms/Workgroup.h backends/sdk/forms/Number.h backends/sdk/forms/Operands.h
  backends/sdk/forms/Contraction.h
  DESTINATION include/kiln/sdk/forms)
set_target_properties(kiln_backend_api PROPERTIES EXPORT_NAME backend_api)
set_target_properties(kiln_sdk PROPERTIES EXPORT_NAME backend_sdk)
foreach(target kiln_backend_api kiln_sdk)
  target_include_directories(${target} INTERFACE
    "$<INSTALL_INTERFACE:include>" "$<INSTALL_INTERFACE:include/kiln>")
endforeach()
install(TARGETS kiln_backend_api kiln_sdk EXPORT kiln_backend ARCHIVE DESTINATION lib)
install(EXPORT kiln_backend NAMESPACE kiln:: DESTINATION lib/cmake/kiln_backend FILE kiln_backend-config.cmake)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/kiln_backend-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/kiln_backend-config-version.cmake" DESTINATION lib/cmake/kiln_backend)
