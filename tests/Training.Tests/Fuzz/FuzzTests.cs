using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Tests.Checkpoints;
using Phi3VCluster.Training.Tests.Processing;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Fuzz;

/// <summary>Alone in the process while it runs: it watches the process's memory.</summary>
[CollectionDefinition(nameof(FuzzTests), DisableParallelization = true)]
public sealed class FuzzCollection;

/// <summary>
/// 10,000 damaged files. Each is read or refused with an <see cref="InputException"/>: no other exception, no crash, no hang, no memory
/// beyond reason.
/// </summary>
[Trait("Category", "Fuzz"), Collection(nameof(FuzzTests))]
public sealed class FuzzTests
{
    private const int Headers = 4000, Tokenizers = 2000, Images = 4000;
    private const long MostGrowthBytes = 512L << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public void Damaged_checkpoints_are_read_or_refused()
    {
        using var folder = new TemporaryFolder();
        using (NewDisposeScope())
            SafeTensorsWriter.Write(folder["sound"],
                [("a.weight", ones(4, 3)), ("b", ones(2, dtype: ScalarType.BFloat16)), ("c", zeros(0, 5))]);
        var sound = File.ReadAllBytes(folder["sound"]);
        var headerEnd = 8 + (int)BinaryPrimitives.ReadInt64LittleEndian(sound);

        Fuzz("safetensors", Headers, mutator =>
        {
            var damaged = mutator.Mutate(sound);
            if (mutator.Below(2) == 0) // damage within a header that is found: its length is right
            {
                var json = mutator.Mutate(sound[8..headerEnd]);
                damaged = [.. BitConverter.GetBytes((long)json.Length), .. json, .. sound[headerEnd..]];
            }
            return damaged;
        }, damaged =>
        {
            File.WriteAllBytes(folder["damaged"], damaged);
            using var file = SafeTensorsFile.Open(folder["damaged"]);
            using var scope = NewDisposeScope();
            foreach (var name in file.Names) file.View(name).clone();
        });
    }

    [Fact]
    public void Damaged_tokenizers_are_read_or_refused()
    {
        using var folder = new TemporaryFolder();
        SmallTokenizer.Load(folder.Path);
        // Without the 256 byte tokens and with them: most damage would hit those.
        var whole = File.ReadAllText(folder["tokenizer.json"]);
        var small = SmallTokenizer.WithoutBytes(whole);

        Fuzz("tokenizer.json", Tokenizers, Damage, damaged =>
        {
            File.WriteAllBytes(folder["tokenizer.json"], damaged);
            var tokenizer = Tokenizer.Load(folder.Path);
            var tokens = tokenizer.Encode("aab bc<|x|>  <|x|>> aé😀\ud800 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", addBos: true);
            tokenizer.Decode(tokens, skipSpecial: false);
        });

        byte[] Damage(Mutator mutator) => mutator.Mutate(Encoding.UTF8.GetBytes(mutator.Below(4) == 0 ? whole : small));
    }

    [Fact]
    public void Damaged_images_are_read_or_refused()
    {
        var files = ImageFiles.All.ToList();
        foreach (var (name, file) in files) Assert.True(ImageEncoder.Encode(file, 4, name).TokenCount > 0, name);

        Fuzz("images", Images, Damage, damaged =>
        {
            var size = ImageDecoder.ReadSize(damaged, "damaged", upright: true);
            var image = ImageDecoder.Decode(damaged, "damaged", upright: true);
            Assert.Equal(size, (image.Width, image.Height));
            ImageEncoder.Encode(image, 4, "damaged");
        });

        byte[] Damage(Mutator mutator) => mutator.Below(8) == 0
            ? ImageFiles.FalsePng(mutator)
            : mutator.Mutate(files[mutator.Below(files.Count)].Value);
    }

    private static void Fuzz(string what, int count, Func<Mutator, byte[]> make, Action<byte[]> read)
    {
        var (accepted, slowest, largest) = (0, TimeSpan.Zero, 0L);
        for (var seed = 0; seed < count; seed++)
        {
            var file = make(new Mutator((ulong)seed));
            var (before, started) = (ResidentBytes(), Stopwatch.GetTimestamp());
            try
            {
                read(file);
                accepted++;
            }
            catch (InputException)
            {
                // One of the two good ends.
            }
            catch (Exception wrong)
            {
                Assert.Fail($"{what} {seed}: {wrong}");
            }
            var (took, growth) = (Stopwatch.GetElapsedTime(started), ResidentBytes() - before);
            Assert.True(took < Patience, $"{what} {seed} took {took}");
            Assert.True(growth < MostGrowthBytes, $"{what} {seed} took {growth} bytes");
            (slowest, largest) = (took > slowest ? took : slowest, Math.Max(largest, growth));
        }
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{count} damaged {what}: {accepted} read, the rest refused; "
            + $"slowest {slowest.TotalMilliseconds:f0} ms, most memory {largest >> 20} MiB");
        Assert.InRange(accepted, 1, count - 1);
    }

    private static long ResidentBytes()
    {
        const int resident = 1;
        return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[resident]) * Environment.SystemPageSize;
    }
}
