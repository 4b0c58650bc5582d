package kring;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.channel.AdaptiveRecvByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.uring.IoUringIoHandler;
import io.netty.channel.uring.IoUringServerSocketChannel;
import io.netty.handler.codec.ByteToMessageDecoder;

import java.net.InetSocketAddress;
import java.util.List;

/** Answers every frame with itself, on Netty's io_uring transport: one event loop, one flush per batch of reads. */
public final class Echo {
    private static final int FRAME_MAX = 100 << 20;
    /** By Netty's default of 64 KiB a frame of 64 KiB never lies in one read, for its size before it. */
    private static final int READ_MAX = 256 << 10;

    private Echo() {
    }

    public static void main(String[] args) throws Exception {
        var loops = new MultiThreadIoEventLoopGroup(1, IoUringIoHandler.newFactory());
        Channel listener = new ServerBootstrap()
            .group(loops)
            .channel(IoUringServerSocketChannel.class)
            .option(ChannelOption.SO_BACKLOG, 1024)
            .childOption(ChannelOption.TCP_NODELAY, true)
            .childOption(ChannelOption.RCVBUF_ALLOCATOR, new AdaptiveRecvByteBufAllocator(64, 16 << 10, READ_MAX))
            .childHandler(new ChannelInitializer<Channel>() {
                @Override
                protected void initChannel(Channel c) {
                    c.pipeline().addLast(new Frames());
                }
            })
            .bind("127.0.0.1", 0).sync().channel();
        System.out.println("ready 127.0.0.1:" + ((InetSocketAddress) listener.localAddress()).getPort());
        System.out.flush();
        while (System.in.read() >= 0) {
            // "stats" has no answer: Netty counts nothing for us.
        }
        System.exit(0);
    }

    /** Writes all frames that are whole as one piece, from where they were read. */
    private static final class Frames extends ByteToMessageDecoder {
        @Override
        protected void decode(ChannelHandlerContext ctx, ByteBuf in, List<Object> out) {
            int at = in.readerIndex();
            while (in.writerIndex() - at >= 4) {
                int size = in.getInt(at);
                if (size < 0 || size > FRAME_MAX) {
                    ctx.close();
                    return;
                }
                if (in.writerIndex() - at - 4 < size) {
                    break;
                }
                at += 4 + size;
            }
            if (at > in.readerIndex()) {
                ctx.write(in.readRetainedSlice(at - in.readerIndex()), ctx.voidPromise());
            }
        }

        @Override
        public void channelReadComplete(ChannelHandlerContext ctx) throws Exception {
            ctx.flush();
            super.channelReadComplete(ctx);
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
            ctx.close();
        }
    }
}
