"""A sequence of networks with different reasons in PyTorch, to compare `backlight reproduce different_reasons` with. Not part of
the test run; needs numpy and torch.

Two rules separate the classes of 5x5 pictures in four colours (Ross et al., IJCAI 2017, section 4.1): equal corners, three
different cells in the top middle. Prints for each seed accuracy and the places that the gradient marks, of a first network
and of a second that may not look where the first did.
"""
import numpy as np
import torch

torch.set_num_threads(1)
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 128, 255), (128, 0, 255)]) / 255.0


def generate(n, random):
    cells, label = random.integers(0, 4, (n, 5, 5)), random.integers(0, 2, n)
    for g, y in zip(cells, label):
        if y == 0:
            g[0, 0] = g[0, 4] = g[4, 0] = g[4, 4] = random.integers(4)
            while len({g[0, 1], g[0, 2], g[0, 3]}) < 3:
                g[0, random.integers(1, 4)] = random.integers(4)
        else:
            one, other = ((0, 4), (4, 0)) if random.random() < 0.5 else ((0, 0), (4, 4))
            while g[one] == g[other]:
                g[one] = random.integers(4)
            while len({g[0, 1], g[0, 2], g[0, 3]}) == 3:
                g[0, random.integers(1, 4)] = random.integers(4)
    return torch.tensor(COLOURS[cells].reshape(n, 75), dtype=torch.float32), torch.tensor(label)


def train(seed, x, y, irrelevant=None, strength=10.0, epochs=30):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(75, 50), torch.nn.ReLU(), torch.nn.Linear(50, 30), torch.nn.ReLU(),
                              torch.nn.Linear(30, 2))
    for p in net.parameters():
        torch.nn.init.normal_(p, 0, 0.1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(256):
            inputs = x[batch].clone().requires_grad_()
            log_p = net(inputs).log_softmax(1)
            loss = -log_p[torch.arange(len(batch)), y[batch]].mean()
            if irrelevant is not None:
                r, = torch.autograd.grad(log_p.sum(), inputs, create_graph=True)
                loss = loss + strength * ((irrelevant[batch] * r) ** 2).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


def reasons(net, x):
    inputs = x.clone().requires_grad_()
    g, = torch.autograd.grad(net(inputs).softmax(1).max(1).values.sum(), inputs)
    return (g.abs() > 0.67 * g.abs().amax(1, keepdim=True)).float()


def places(marked):
    marked = marked.view(-1, 25, 3).amax(2)
    return [(marked[:, cells].sum() / marked.sum()).item() for cells in ([0, 4, 20, 24], [1, 2, 3])]


for seed in range(4):
    random = np.random.default_rng(seed)
    x, y = generate(4000, random)
    x_test, y_test = generate(2000, random)
    first = train(seed, x, y)
    second = train(seed + 100, x, y, reasons(first, x))
    for name, net in (("model 1", first), ("model 2", second)):
        accuracy = (net(x_test).argmax(1) == y_test).float().mean().item()
        corners, top = places(reasons(net, x_test))
        print(f"seed {seed}, {name}: accuracy {accuracy:.3f}, in corners {corners:.2f}, in the top middle {top:.2f}")
