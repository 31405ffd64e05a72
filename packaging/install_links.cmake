# Run by `cmake --install`, for what depends on the prefix that is given there: the other names of plyfs, and the unit that
# names it by its path.
foreach(name bin sbin libexec man)
  cmake_path(ABSOLUTE_PATH plyfs_${name} BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE ${name})
endforeach()
set(program ${bin}/plyfs)
set(control ${bin}/plyctl)

# link(NAME DIRECTORY): a relative link to the installed program.
function(link name directory)
  file(RELATIVE_PATH target ${directory} ${program})
  file(MAKE_DIRECTORY $ENV{DESTDIR}${directory})
  file(CREATE_LINK ${target} $ENV{DESTDIR}${directory}/${name} SYMBOLIC)
  message(STATUS "Installing: $ENV{DESTDIR}${directory}/${name}")
endfunction()

function(link_page name page)
  set(directory $ENV{DESTDIR}${man}/man8)
  file(CREATE_LINK ${page} ${directory}/${name} SYMBOLIC)
  message(STATUS "Installing: ${directory}/${name}")
endfunction()

# mount(8) looks in /sbin and nowhere else; that is /usr/sbin, for all but the oldest distributions.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr/local")
  set(sbin /usr/sbin)
elseif(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  message(STATUS "For fstab: mount(8) finds mount.plyfs in /sbin only, so link it: ln -s ${program} /sbin/mount.plyfs")
endif()
foreach(helper mount.plyfs mount.fuse.plyfs)
  link(${helper} ${sbin})
endforeach()
link_page(mount.fuse.plyfs.8 mount.plyfs.8)
# Not on anybody's PATH: the distribution may have a program of that name.
link(fuse-overlayfs ${libexec}/plyfs)

set(unit ${plyfs_binary}/plyfs@.service)
configure_file(${plyfs_source}/packaging/systemd/plyfs@.service.in ${unit} @ONLY)
file(INSTALL ${unit} DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
