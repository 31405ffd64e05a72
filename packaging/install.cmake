# What `cmake --install` puts where: everything below the prefix, but the names for mount(8) as install_links.cmake says.
include(GNUInstallDirs)
set(PLYFS_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where zsh looks for completions")

install(TARGETS plyfs plyctl DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(section 1 5 8)
  file(GLOB pages ${CMAKE_SOURCE_DIR}/man/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/config/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples FILES_MATCHING PATTERN "*.yaml")

set(completions ${CMAKE_BINARY_DIR}/src/app/completion)
install(FILES ${completions}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME plyfs)
install(FILES ${completions}.zsh DESTINATION ${PLYFS_ZSH_DIR} RENAME _plyfs)
install(FILES ${completions}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME plyfs.fish)

# systemd looks below lib, whatever this distribution calls its folder of libraries; also below /usr/local.
install(TARGETS plyfs_generator DESTINATION lib/systemd/system-generators)
install(FILES ${CMAKE_SOURCE_DIR}/packaging/tmpfiles.d/plyfs-io_uring.conf DESTINATION lib/tmpfiles.d)

install(CODE "
set(plyfs_source \"${CMAKE_SOURCE_DIR}\")
set(plyfs_binary \"${CMAKE_BINARY_DIR}\")
set(plyfs_bin \"${CMAKE_INSTALL_BINDIR}\")
set(plyfs_sbin \"${CMAKE_INSTALL_SBINDIR}\")
set(plyfs_libexec \"${CMAKE_INSTALL_LIBEXECDIR}\")
set(plyfs_man \"${CMAKE_INSTALL_MANDIR}\")")
install(SCRIPT ${CMAKE_SOURCE_DIR}/packaging/install_links.cmake)
