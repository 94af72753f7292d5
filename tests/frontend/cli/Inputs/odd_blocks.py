"""odd_blocks.py SOURCE FOLDER SIZE: the llama folder SOURCE, 32 wide, one of its matrices in blocks of SIZE that are no whole row."""
import json
import shutil
import struct
import sys

source, folder, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
wider = {"hidden_size": 32, "intermediate_size": 32, "head_dim": 8}
with open(source + "/config.json") as text:
    config = {**json.load(text), **wider}
with open(folder + "/config.json", "w") as out:
    json.dump(config, out)

with open(source + "/model.safetensors", "rb") as file:
    old = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
header, end = {}, 0


def add(name, dtype, shape, width):
    global end
    count = width
    for extent in shape:
        count *= extent
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + count]}
    end += count


for name, entry in old.items():
    if name == "__metadata__":
        continue
    shape = [{8: 16, 16: 32, 24: 32}.get(extent, extent) for extent in entry["shape"]]
    if name == "model.layers.0.mlp.down_proj.weight":
        add(name, "I8", [32, 6, size], 1)
        add(name + ".scales", "F16", [32, 6], 2)
    else:
        add(name, "F32", shape, 4)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(folder + "/model.safetensors", "wb") as out:
    out.write(struct.pack("<Q", len(text)) + text + bytes(end))
