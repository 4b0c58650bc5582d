import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/**
 * Runs many versions of Kafka's Java client in one JVM, because the start of a JVM is most of what one run costs.
 * Each version has a class loader of its own with its jars and with our classes, so no version sees another.
 *
 * <p>Arguments: the class to run, the folder of our classes, the folder of the versions (VERSION/jars), how many run
 * at the same time, then one VERSION,SERVER,ADDRESS for each run. Runs of one version share a loader and follow one
 * another.
 */
public final class Matrix {
    public static void main(String[] args) throws Exception {
        String name = args[0];
        Path classes = Path.of(args[1]);
        Path versions = Path.of(args[2]);
        ExecutorService runs = Executors.newFixedThreadPool(Integer.parseInt(args[3]));
        var byVersion = new java.util.LinkedHashMap<String, List<String[]>>();
        for (int i = 4; i < args.length; i++) {
            String[] run = args[i].split(",");
            byVersion.computeIfAbsent(run[0], v -> new ArrayList<>()).add(run);
        }
        List<Future<?>> all = new ArrayList<>();
        for (var entry : byVersion.entrySet()) {
            all.add(runs.submit(() -> {
                run(name, loader(classes, versions.resolve(entry.getKey()).resolve("jars")), entry.getValue());
                return null;
            }));
        }
        int failed = 0;
        for (Future<?> one : all) {
            try {
                one.get();
            } catch (Exception e) {
                e.printStackTrace();
                failed = 1;
            }
        }
        System.out.flush();
        // Clients that could not be closed must not keep the matrix from its end.
        Runtime.getRuntime().halt(failed);
    }

    private static URLClassLoader loader(Path classes, Path jars) throws Exception {
        List<URL> urls = new ArrayList<>();
        urls.add(classes.toUri().toURL());
        try (Stream<Path> files = Files.list(jars)) {
            for (Path jar : files.sorted().toList()) {
                urls.add(jar.toUri().toURL());
            }
        }
        return new URLClassLoader(urls.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
    }

    private static void run(String name, URLClassLoader loader, List<String[]> runs) throws Exception {
        Thread.currentThread().setContextClassLoader(loader);
        var main = loader.loadClass(name).getMethod("main", String[].class);
        for (String[] run : runs) {
            try {
                main.invoke(null, (Object) run);
            } catch (InvocationTargetException e) {
                throw new Exception(String.join(",", run), e.getCause());
            }
        }
    }
}
