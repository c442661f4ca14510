/** Addresses of QEMU's user network. */

/** The address, inside, of the host's port that `server` opens: QEMU's user network, past its own services. */
export const innerServer = '10.0.2.100';
/** The host itself, for guests that may go out. */
export const innerHost = '10.0.2.2';
