package kring;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.uring.IoUringIoHandler;
import io.netty.channel.uring.IoUringServerSocketChannel;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;

import java.net.InetSocketAddress;

/** Answers every frame with itself, on Netty's io_uring transport: one event loop, one flush per batch of reads. */
public final class Echo {
    private static final int FRAME_MAX = 100 << 20;

    private Echo() {
    }

    public static void main(String[] args) throws Exception {
        var loops = new MultiThreadIoEventLoopGroup(1, IoUringIoHandler.newFactory());
        Channel listener = new ServerBootstrap()
            .group(loops)
            .channel(IoUringServerSocketChannel.class)
            .option(ChannelOption.SO_BACKLOG, 1024)
            .childOption(ChannelOption.TCP_NODELAY, true)
            .childHandler(new ChannelInitializer<Channel>() {
                @Override
                protected void initChannel(Channel c) {
                    c.pipeline().addLast(new LengthFieldBasedFrameDecoder(FRAME_MAX, 0, 4), new Answer());
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

    private static final class Answer extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext ctx, Object frame) {
            ctx.write((ByteBuf) frame, ctx.voidPromise());
        }

        @Override
        public void channelReadComplete(ChannelHandlerContext ctx) {
            ctx.flush();
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
            ctx.close();
        }
    }
}
