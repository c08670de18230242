import fs from 'node:fs';
import os from 'node:os';

const sharedMemory = '/dev/shm';
const roomBytesMin = 1_000_000_000;

/**
 * Where tests put what is made and removed by the hundred: in memory where there is room for it. ext4 looks for inodes that
 * were not freed a moment ago, which took nine tenths of the time of the process runtime's tests.
 */
export const scratchRoot = hasRoom() ? sharedMemory : os.tmpdir();

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = fs.statfsSync(sharedMemory);
    if (bavail * bsize < roomBytesMin) return false;
    // Containers' files are run: it may be mounted `noexec`.
    const mounts = fs.readFileSync('/proc/mounts', 'utf8').split('\n');
    const options = mounts.find((line) => line.split(' ')[1] === sharedMemory)?.split(' ')[3] ?? 'noexec';
    fs.accessSync(sharedMemory, fs.constants.W_OK);
    return !options.split(',').includes('noexec');
  } catch {
    return false; // not this system
  }
}
