# cmake --install: libraries, headers, the command line and the package that find_package(Backlight) reads.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Backlight")

foreach(target IN LISTS BACKLIGHT_COMPONENT_TARGETS)
    install(TARGETS ${target} EXPORT BacklightTargets
            ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}/backlight"
            FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/backlight")
endforeach()
install(TARGETS backlight_all EXPORT BacklightTargets)
install(EXPORT BacklightTargets NAMESPACE Backlight:: DESTINATION "${package_dir}")

# Where this build found oneDNN: the installed program and the package look there without being told.
get_target_property(BACKLIGHT_ONEDNN_LIBRARY oneDNN::dnnl IMPORTED_LOCATION)
cmake_path(GET BACKLIGHT_ONEDNN_LIBRARY PARENT_PATH BACKLIGHT_ONEDNN_LIBRARY_DIR)
cmake_path(GET BACKLIGHT_ONEDNN_LIBRARY_DIR PARENT_PATH BACKLIGHT_ONEDNN_PREFIX)

configure_package_config_file(cmake/BacklightConfig.cmake.in BacklightConfig.cmake INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(BacklightConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/BacklightConfig.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/BacklightConfigVersion.cmake"
              cmake/FindoneDNN.cmake
        DESTINATION "${package_dir}")

if(TARGET backlight_app)
    # Set explicitly: INSTALL_RPATH_USE_LINK_PATH leaves out a library that lies inside the source tree,
    # as one in a virtual environment there does. A system folder needs no entry.
    set_target_properties(backlight_app PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
    if(NOT BACKLIGHT_ONEDNN_LIBRARY_DIR IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
        set_target_properties(backlight_app PROPERTIES INSTALL_RPATH "${BACKLIGHT_ONEDNN_LIBRARY_DIR}")
    endif()
    install(TARGETS backlight_app RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
