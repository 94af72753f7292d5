# Sourced: what a packed tree carries, put where it is found. Nothing of it is used where the machine has its own.
#
# KILN_GPU_LIBRARIES: the folders for LD_LIBRARY_PATH of Kiln's programs alone, not of the peers'.
KILN_GPU_LIBRARIES=
carried=$tree/carried
has() { # a library that the machine has itself
  local path
  path=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | sed -n "s|.*$1 .*=> ||p" | head -1)
  [ -e "${path:-/nowhere}" ]
}
if [ -d "$carried" ]; then
  mkdir -p "$KILN_GPU_WORK/lacking"
  for library in "$carried"/lacking/*.so.*; do
    has "${library##*/}" || ln -sf "$library" "$KILN_GPU_WORK/lacking"
  done
  KILN_GPU_LIBRARIES=$carried/lib:$KILN_GPU_WORK/lacking
  export KILN_SYSROOT=$carried/sysroot
  if ! ls /usr/share/vulkan/explicit_layer.d/*validation* >/dev/null 2>&1; then
    export VK_LAYER_PATH=$carried/layers
  fi
fi
# NVIDIA's driver where it is there, but not where the loader looks.
if [ -z "${VK_DRIVER_FILES:-}" ] && ! ls /usr/share/vulkan/icd.d/*nvidia*.json >/dev/null 2>&1 &&
  ! ls /etc/vulkan/icd.d/*nvidia*.json >/dev/null 2>&1; then
  found=$(find /usr/local/nvidia /usr/local/share /opt -name 'nvidia_icd*.json' 2>/dev/null | head -1)
  if [ -z "$found" ] && has libGLX_nvidia.so.0; then
    found=$KILN_GPU_WORK/nvidia_icd.json
    echo '{"file_format_version": "1.0.1", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3"}}' >"$found"
  fi
  [ -z "$found" ] || export VK_DRIVER_FILES=$found VK_ICD_FILENAMES=$found
fi
export KILN_GPU_LIBRARIES
