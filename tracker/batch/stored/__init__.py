"""An archive whose output folder is in a store: worked on in a folder of a disk, published as it is finished."""
