package io.nats.client.impl;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;

/**
 * A connection to the Unix socket NATS_UNIX_PATH, whatever the URL says.
 *
 * <p>jnats makes an object of the class that Options.dataPortType() names. The interface speaks of
 * NatsConnection, which only its own package can see; therefore this class is in that package.
 */
public class UnixDataPort implements DataPort {
    private SocketChannel channel;

    @Override
    @SuppressWarnings({"deprecation", "ClassEscapesDefinedScope"})
    public void connect(String url, NatsConnection connection, long timeoutNanos) throws IOException {
        channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(System.getenv("NATS_UNIX_PATH")));
    }

    @Override
    public void upgradeToSecure() throws IOException {
        throw new IOException("no TLS here");
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
        return channel.read(ByteBuffer.wrap(bytes, offset, length));
    }

    @Override
    public void write(byte[] bytes, int length) throws IOException {
        ByteBuffer rest = ByteBuffer.wrap(bytes, 0, length);
        while (rest.hasRemaining()) {
            channel.write(rest);
        }
    }

    @Override
    public void shutdownInput() throws IOException {
        channel.shutdownInput();
    }

    @Override
    public void close() throws IOException {
        if (channel != null) {
            channel.close();
        }
    }

    @Override
    public void flush() {
        // write() has handed everything to the kernel
    }
}
